"""One step of a preview in the words of Swarm and Traefik, and without a secret.

A step is the `metadata` of a `resourcePreEvent` in what `pulumi preview --json` streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.swarm.location import described, is_move
from policy.leaks import secret_in

Step = Mapping[str, Any]
Path = tuple[str, ...]

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Key of each object that isn't plain data in Pulumi's JSON: a secret, an asset."""
SECRET = "[secret]"  # noqa: S105 - what stands in a secret's place
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What a preview has for a value that only the deployment brings."""
LONGEST = 200
"""Characters of one value that are shown."""
START_SECONDS = 10
"""What a new service mostly needs until it serves."""

_DIGEST = re.compile(r"(@sha256:[0-9a-f]{12})[0-9a-f]{52}")
_OPERATIONS = {"update": "change", "same": ""}
DELETE_REPLACED = "delete-replaced"
BESIDES = ("read", "refresh", "create-replacement", DELETE_REPLACED)
"""Operations that come with another one on the same resource, or are none."""
_KINDS = {
    "docker:index/service:Service": "service",
    "docker:index/network:Network": "network",
    "docker:index/volume:Volume": "volume",
    "docker:index/secret:Secret": "secret",
    "docker:index/serviceConfig:ServiceConfig": "config",
    "random:index/randomPassword:RandomPassword": "password",
    "pulumi:index:Stash": "storage",
}
# Salts and the like: whenever one of them changes, so does the Swarm secret that holds it. The same
# goes for the memory of the services' images, and a service.
_PARTS_OF_OTHERS = ("random:index/randomBytes:RandomBytes",)
_MEMORY_OF_IMAGES = "::service-images"
_CONTENTS = {"htpasswd": "login", "config": "configuration"}
# Lists whose items are known by one of their fields, wherever they stand in the list.
_KEYS = {"labels": "label", "secrets": "fileName", "mounts": "target", "ports": "targetPort"}
# Whose values nobody marks as secret, and yet they may hold one.
_UNSHOWN = {"env", "driverOptions", "driverOpts", "data", "dataRaw", "result", "bcryptHash"}


def kind(step: Step) -> str:
    """`service`, `secret`, …; empty for what no reviewer asks for: components, providers, salts."""
    type_ = str(step["type"])
    if not _state(step).get("custom") or type_.startswith("pulumi:providers:"):
        return ""
    if type_ in _PARTS_OF_OTHERS or str(step["urn"]).endswith(_MEMORY_OF_IMAGES):
        return ""
    return _KINDS.get(type_, type_)


def operation(step: Step) -> str:
    """`create`, `change`, `replace`, `delete`, …; empty when the resource stays as it is."""
    op = str(step["op"])
    return _OPERATIONS.get(op, op)


def resource(step: Step) -> str:
    """Kind and name, as `docker` knows it where it does."""
    inputs, urn_name = _inputs(step), str(step["urn"]).rpartition("::")[2]
    name = str(inputs.get("name") or urn_name)
    match kind(step):
        case "secret" | "config":
            # Docker's name ends in a random text, which is another one when it is deployed.
            name = urn_name
        case "password":
            parent = str(_state(step).get("parent", "")).rpartition("::")[2]
            name = urn_name.removeprefix(f"{parent}-")
        case "storage":
            name = urn_name.removesuffix("-place")
    return f"{kind(step)} {code(name)}"


def changes(step: Step, *, deleted_first: bool = False) -> list[str]:
    """Return what is different afterwards, a line each.

    `deleted_first`: a replacement, whose old one is deleted before the new one is there.
    """
    first = [f"**{sentence}**" for sentence in gap(step)] if deleted_first else []
    return [*first, *_changes(step)]


def gap(step: Step) -> list[str]:
    """Return what it means that a resource is deleted before its new one is made."""
    name = kind(step)
    begin = f"the {name} is deleted before the new one is made"
    match name:
        case "service":
            old = flat((step.get("old") or {}).get("inputs") or {})
            stop = old.get(("taskSpec", "containerSpec", "stopGracePeriod"))
            ending = f", and up to {stop} more while its old tasks end" if stop else ""
            return [
                f"{begin}: it is away for about {START_SECONDS} s{ending}; if the new one fails,"
                " there is no rollback"
            ]
        case "network":
            return [f"{begin}, and so is each service on it; on another stack's, this fails"]
        case "volume" if not _is_kept(step):
            return [f"{begin}, with all that is in it"]
        case "volume":
            return []
    return [begin]


def _is_kept(step: Step) -> bool:
    """Return whether what Pulumi no longer has stays in Docker."""
    return bool((step.get("old") or {}).get("retainOnDelete"))


def _changes(step: Step) -> list[str]:
    match kind(step), operation(step):
        case "volume", "delete":
            kept = "forgotten; the images stay in it"
            return [kept if _is_kept(step) else "**with all images in it**"]
        case _, "delete":
            return []
        case "password", _:
            return ["a new one is generated"]
        case "secret" | "config", _:
            return list(_contents(step))
        case "storage", _:
            return list(_placement(step))
        case "service", "create":
            return [
                title(path) if value in path else f"{title(path)}: {_value(path, value)}"
                for path, value in _by_importance(flat(_inputs(step)))
                if _matters_when_new(path)
            ]
        case "service", "change":
            found = _differences(step)
            parts = {path[0] for path, _ in found if path}
            return [*(line for _, line in found), *_tasks(step, parts)]
        case "network", "create":
            inputs = _inputs(step)
            return [", ".join([str(inputs.get("driver")), *(inputs.get("options") or {})])]
        case _, "create":
            return []
    return [line for _, line in _differences(step)]


def code(text: str) -> str:
    """`text` as a code span that survives in a cell of a table."""
    text = _DIGEST.sub(r"\1…", " ".join(text.split()))
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def flat(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Leaves of `value` by path; items of a list by their key, lists of plain values as one."""
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
    """How the field calls what is at `path` of a service."""
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


def _keyed(items: list[Any], key: str) -> Iterator[tuple[str, Any]]:
    for index, item in enumerate(items):
        if isinstance(item, dict) and key in item:
            yield str(item[key]), {name: item[name] for name in item if name != key}
        else:
            yield str(index), item


def _state(step: Step) -> Mapping[str, Any]:
    return step.get("new") or step.get("old") or {}


def _inputs(step: Step) -> Mapping[str, Any]:
    return _state(step).get("inputs") or {}


def _remembered(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    value = inputs.get("input")
    return value if isinstance(value, dict) else {}


def _differences(step: Step) -> list[tuple[Path, str]]:
    """What differs, by path, in words."""
    before_all, after_all = _before(step), _after(step)
    old, new = _hidden_as(before_all, after_all), _hidden_as(after_all, before_all)
    told: dict[str, Path] = {}
    for path, _ in _by_importance(old | new):
        before, after = old.get(path), new.get(path)
        if before == after == SECRET and step.get("detailedDiff"):
            # The provider says that something in it differs, and it is secret as a whole.
            told.setdefault(f"{title(path)} changed (not shown)", path)
        # What was never told is there all the same, empty.
        if before != after and (before or after):
            # Id and name of one file's secret are one line.
            told.setdefault(_difference(path, before, after), path)
    if not told:
        reasons = step.get("diffs") or ["something that the provider doesn't name"]
        told[", ".join(map(code, reasons))] = ()
    return [(path, line) for line, path in told.items()]


def _hidden_as(leaves: Mapping[Path, Any], others: Mapping[Path, Any]) -> dict[Path, Any]:
    """Return `leaves` with what is at or below a secret of `others` as that secret.

    One hash makes all labels of a service a secret, and before it was one they were not.
    """
    hidden = [path for path, value in others.items() if value == SECRET]
    result: dict[Path, Any] = {}
    for path, value in leaves.items():
        secret = next((start for start in hidden if path[: len(start)] == start), None)
        result[path if secret is None else secret] = value if secret is None else SECRET
    return result


def _before(step: Step) -> dict[Path, Any]:
    """What is there, as far as the provider says that it differs."""
    old, named = step.get("old") or {}, step.get("detailedDiff")
    if not named:
        return flat(old.get("inputs") or {})
    return _part(flat(old.get("outputs") or {}), named)


def _after(step: Step) -> dict[Path, Any]:
    """What shall be there, as far as the provider says that it differs."""
    named, new = step.get("detailedDiff"), flat(_inputs(step))
    return _part(new, named) if named else new


def _part(leaves: Mapping[Path, Any], named: Iterable[str]) -> dict[Path, Any]:
    """Leaves under names such as `labels[3].value`: all of a list, whose order is free."""
    under = [tuple(name.partition("[")[0].split(".")) for name in named]
    return {
        path: leaves[path] for path in leaves if any(path[: len(start)] == start for start in under)
    }


def _difference(path: Path, old: Any, new: Any) -> str:
    name = title(path)
    if path[-1:] == ("forceUpdate",):
        return "the update that Swarm has undone is tried again"
    if _UNSHOWN & set(path) or _is_secret(path, old) or _is_secret(path, new):
        return f"{name} {_how(old, new)} (not shown)"
    if "secrets" in path:
        return f"{name} {_how(old, new)}"
    if isinstance(old, list) and isinstance(new, list):
        gone = [f"− {code(str(item))}" for item in old if item not in new]
        come = [f"+ {code(str(item))}" for item in new if item not in old]
        return f"{name}: {', '.join([*gone, *come]) or 'another order'}"
    if old is None:
        return f"{name}: + {_value(path, new)}"
    if new is None:
        return f"{name}: − {_value(path, old)}"
    return f"{name}: {_value(path, old)} → {_value(path, new)}"


def _is_secret(path: Path, value: Any) -> bool:
    """Return whether a value looks like a secret, or its name says so.

    Pulumi hides what is a secret now. What was one before, or was set by hand, it shows.
    """
    if not path or "secrets" in path:
        return False
    name = path[-2] if path[-1] == "value" and len(path) > 1 else path[-1]
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(each, str) and secret_in(name, each) is not None for each in texts)


def _how(old: Any, new: Any) -> str:
    return "added" if old is None else "removed" if new is None else "is new"


def _value(path: Path, value: Any) -> str:
    if value == SECRET or _UNSHOWN & set(path) or _is_secret(path, value):
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


def _by_importance(leaves: Mapping[Path, Any]) -> list[tuple[Path, Any]]:
    """The image first, then what is outside of the tasks, then the rest."""
    return sorted(leaves.items(), key=lambda leaf: ("image" not in leaf[0], leaf[0]))


def _matters_when_new(path: Path) -> bool:
    match path:
        case ("labels", label, "value"):
            return label.startswith("traefik.http.routers.") and not label.endswith(".service")
        case (*_, "image") | (*_, "publishedPort") | (*_, "constraints") | (*_, "limits", _):
            return True
        case (*_, "mounts", _, "source"):
            return True
    return False


def _contents(step: Step) -> Iterator[str]:
    reasons = step.get("keys") or ["data"]
    if "data" in reasons:
        end = str(step["urn"]).rpartition("-")[2]
        yield f"new {_CONTENTS.get(end, 'content')}"
    yield from (f"{reason} changed" for reason in reasons if reason != "data")


def _placement(step: Step) -> Iterator[str]:
    """Where data are: the most that can go wrong in a deployment."""
    old = _remembered((step.get("old") or {}).get("inputs") or {})
    new = _remembered(_inputs(step))
    if not old:
        yield f"in {code(described(new))}" + (
            f", by its label {code(label + '=true')}" if (label := new.get("label")) else ""
        )
    elif is_move(old, new):
        yield f"**moves** from {code(described(old))} to {code(described(new))}"
    elif old.get("cluster") != new.get("cluster"):
        yield f"the state remembers swarm {code(str(new.get('cluster')))}"
    else:
        yield f"in {code(described(new))}"


def _tasks(step: Step, parts: set[str]) -> Iterator[str]:
    """What becomes of the running tasks, which is what users of the service notice."""
    if parts == {"labels"}:
        yield "its task runs on"
    elif "taskSpec" not in parts:
        return
    elif (_inputs(step).get("updateConfig") or {}).get("order") == "start-first":
        yield "a new task takes over from the old one"
    else:
        yield "**the old task stops before the new one starts**"
