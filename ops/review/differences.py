"""The differences between a resource's state before and after a step, without a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ops.review.step import Step, code, inputs, old_inputs
from policy.leaks import secret_in

Path = tuple[str, ...]
"""Names from the resource down to one value."""

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Key of each object that isn't plain data in Pulumi's JSON: a secret, an asset."""
SECRET = "[secret]"  # noqa: S105 - what stands in a secret's place
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Value in a preview that only the deployment brings."""

# Lists whose order is free, with the field that identifies an item.
_KEYS = {"labels": "label", "secrets": "fileName", "mounts": "target", "ports": "targetPort"}
# Fields that may hold a secret although nothing marks it as one.
_NOT_SHOWN = {"env", "driverOptions", "driverOpts", "data", "dataRaw", "result", "bcryptHash"}


def differences(step: Step) -> list[tuple[Path, str]]:
    """Return the path of each difference, and a line that describes it."""
    all_before, all_after = _before(step), _after(step)
    old, new = _hidden_as(all_before, all_after), _hidden_as(all_after, all_before)
    lines: dict[str, Path] = {}
    for path, _ in by_importance(old | new):
        before, after = old.get(path), new.get(path)
        if before == after == SECRET and step.get("detailedDiff"):
            # The provider reports a difference in it, and all of it is secret.
            lines.setdefault(f"{title(path)} changed (not shown)", path)
        # The provider returns an empty value for what was never set.
        if before != after and (before or after):
            # Id and name of one file's secret are one line.
            lines.setdefault(_difference(path, before, after), path)
    if not lines:
        reasons = step.get("diffs") or ["something that the provider doesn't name"]
        lines[", ".join(map(code, reasons))] = ()
    return [(path, line) for line, path in lines.items()]


def flat(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Return the leaves of `value` by path.

    An item of a list is named by its key field or its index; a list of plain values is one leaf.
    """
    if isinstance(value, dict) and SIGNATURE in value:
        return {path: SECRET}
    if isinstance(value, dict):
        items = {key: item for key, item in value.items() if key != "__defaults"}
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items = dict(_keyed(value, _KEYS.get(path[-1], "") if path else ""))
    else:
        return {path: value}
    leaves: dict[Path, Any] = {}
    for key, item in items.items():
        leaves |= flat(item, (*path, str(key)))
    return leaves


def title(path: Path) -> str:
    """Return the field's term for the value at `path` of a service."""
    match path:
        case (*_, "labels", label, "value"):
            return f"label {code(label)}"
        case (*_, "env", name):
            return f"variable {code(name)}"
        case (*_, "secrets", file, _):
            return f"file {code(file)}"
        case (*_, "mounts", target, "source"):
            return f"mount {code(target)}"
        case (*_, "ports", target, "publishedPort"):
            return f"port {target} on the node"
        case (*_, "limits", "memoryBytes"):
            return "memory"
        case (*_, "limits", "nanoCpus"):
            return "CPUs"
        case (*_, "logDriver", "options", option):
            return f"log {option}"
        case (*_, "networksAdvanceds", _, "id"):
            return "network"
    known = {"taskSpec", "containerSpec", "placement", "mode", "replicated"}
    return " ".join(part for part in path if part not in known)


def value_text(path: Path, value: Any) -> str:
    """Return the value at `path` as a reviewer reads it; `SECRET` when it is or may be one."""
    if value == SECRET or _NOT_SHOWN & set(path) or _is_secret(path, value):
        return SECRET
    if value == UNKNOWN:
        return "(known when deployed)"
    if path[-1] == "memoryBytes" and isinstance(value, int | float):
        return f"{value / 2**20:g} MiB"
    if path[-1] == "nanoCpus" and isinstance(value, int | float):
        return f"{value / 10**9:g}"
    if isinstance(value, list):
        return ", ".join(code(str(item)) for item in value)
    return code(str(value).lower() if isinstance(value, bool) else str(value))


def by_importance(leaves: Mapping[Path, Any]) -> list[tuple[Path, Any]]:
    """Return the leaves by path, the image first."""
    return sorted(leaves.items(), key=lambda leaf: ("image" not in leaf[0], leaf[0]))


def _keyed(items: list[Any], key: str) -> Iterator[tuple[str, Any]]:
    for index, item in enumerate(items):
        if isinstance(item, dict) and key in item:
            yield str(item[key]), {name: item[name] for name in item if name != key}
        else:
            yield str(index), item


def _hidden_as(leaves: Mapping[Path, Any], others: Mapping[Path, Any]) -> dict[Path, Any]:
    """Return `leaves`, with those at or below a secret of `others` replaced by that secret.

    One hash makes a secret of all labels of a service, which were plain text before.
    """
    secrets = [path for path, value in others.items() if value == SECRET]
    result: dict[Path, Any] = {}
    for path, value in leaves.items():
        secret = next((start for start in secrets if path[: len(start)] == start), None)
        result[path if secret is None else secret] = value if secret is None else SECRET
    return result


def _before(step: Step) -> dict[Path, Any]:
    """Return the present values, only those that the provider reports as different."""
    names = step.get("detailedDiff")
    if not names:
        return flat(old_inputs(step))
    return _part(flat((step.get("old") or {}).get("outputs") or {}), names)


def _after(step: Step) -> dict[Path, Any]:
    """Return the desired values, only those that the provider reports as different."""
    names, new = step.get("detailedDiff"), flat(inputs(step))
    return _part(new, names) if names else new


def _part(leaves: Mapping[Path, Any], names: Iterable[str]) -> dict[Path, Any]:
    """Return the leaves below names such as `labels[3].value`.

    Of a list, whose order is free, all leaves are returned.
    """
    under = [tuple(name.partition("[")[0].split(".")) for name in names]
    return {
        path: leaves[path] for path in leaves if any(path[: len(start)] == start for start in under)
    }


def _difference(path: Path, old: Any, new: Any) -> str:
    name = title(path)
    if path[-1:] == ("forceUpdate",):
        return "the update that Swarm has undone is tried again"
    if _NOT_SHOWN & set(path) or _is_secret(path, old) or _is_secret(path, new):
        return f"{name} {_verb(old, new)} (not shown)"
    if "secrets" in path:
        return f"{name} {_verb(old, new)}"
    if isinstance(old, list) and isinstance(new, list):
        removed = [f"− {code(str(item))}" for item in old if item not in new]
        added = [f"+ {code(str(item))}" for item in new if item not in old]
        return f"{name}: {', '.join([*removed, *added]) or 'another order'}"
    if old is None:
        return f"{name}: + {value_text(path, new)}"
    if new is None:
        return f"{name}: − {value_text(path, old)}"
    return f"{name}: {value_text(path, old)} → {value_text(path, new)}"


def _verb(old: Any, new: Any) -> str:
    return "added" if old is None else "removed" if new is None else "is new"


def _is_secret(path: Path, value: Any) -> bool:
    """Return whether a value, or its name, looks like a secret's.

    Pulumi hides values that are secret now, and shows those that were before or were set by hand.
    """
    if not path or "secrets" in path:
        return False
    name = path[-2] if path[-1] == "value" and len(path) > 1 else path[-1]
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(each, str) and secret_in(name, each) is not None for each in texts)
