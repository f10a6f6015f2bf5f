"""What a deployment would change, as a reviewer of a pull request wants to read it: markdown.

Made from the events that `pulumi preview --json` streams. What Pulumi holds for a secret is hidden
by Pulumi itself; of Swarm secrets and passwords only is said that they change.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.console import Problem

STREAMED = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 - Pulumi's mark of a secret, no secret
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands for a text that only the deployment will know."""
DONE = {
    "create": "create",
    "update": "change",
    "delete": "delete",
    "replace": "replace",
    "import": "take over",
}
"""Operations that a reviewer wants to know of; Pulumi splits a replacement in three."""
_NOISE = re.compile(r"pulumi:(pulumi|providers):|registry:index:|random:index/randomBytes:")
_LONG = 96
"""Longer values are cut: whoever wants to see them reads the diff of the settings."""

_Inputs = Mapping[str, Any]


@dataclass
class Preview:
    """What a preview came to."""

    steps: list[Mapping[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Errors of the program or of a provider."""
    policies: list[str] = field(default_factory=list)
    unchanged: int = 0
    failed: bool = False


def preview(words: Sequence[str]) -> Preview:
    """Runs `pulumi WORDS`, a preview; what it says of its progress is left out."""
    done = subprocess.run(
        ["pulumi", *words, "--json", "--non-interactive"],
        env={**os.environ, **STREAMED},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    found = read(done.stdout.splitlines())
    found.failed = done.returncode != 0
    if found.failed and not found.problems and not found.policies:
        found.problems.append(done.stderr.strip() or f"exit status {done.returncode}")
    return found


def read(lines: Iterable[str]) -> Preview:
    """The preview that a stream of events tells of."""
    found = Preview()
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # A word of a tool that Pulumi starts.
        if metadata := event.get("resourcePreEvent", {}).get("metadata"):
            if metadata["op"] in DONE:
                found.steps.append(metadata)
            elif metadata["op"] == "same":
                found.unchanged += 1
        elif diagnostic := event.get("diagnosticEvent"):
            if diagnostic["severity"] in ("error", "warning"):
                text = diagnostic["message"].strip().removeprefix("error: ")
                if text not in (*found.problems, "preview failed"):
                    found.problems.append(text)
        elif violation := event.get("policyEvent"):
            found.policies.append(_violation(violation))
    return found


def _violation(event: Mapping[str, Any]) -> str:
    name = event.get("resourceUrn", "").rpartition("::")[2]
    what = event["message"].strip().splitlines()[-1]
    return f"**{event['policyName']}** ({event['enforcementLevel']}), `{name}`: {what}"


def markdown(stack: str, found: Preview) -> str:
    """The preview as a comment on a pull request."""
    rows = [row for step in found.steps if (row := _row(step))]
    # Pulumi works side by side, so the order of its events says nothing.
    rows.sort(key=lambda row: (not row.what.startswith("service"), row.what))
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.operation] = counts.get(row.operation, 0) + 1
    changes = ", ".join(f"{count} to {name}" for name, count in counts.items()) or "no changes"
    lines = [f"### `{stack}`: {'the preview failed' if found.failed else changes}", ""]
    if found.problems:
        lines += ["```", *found.problems, "```", ""]
    if found.policies:
        lines += [*(f"- {text}" for text in sorted(found.policies)), ""]
    if rows and not (found.failed and found.problems):
        lines += ["| | what | how |", "|---|---|---|"]
        lines += [f"| {row.operation} | {row.what} | {'<br>'.join(row.how)} |" for row in rows]
        lines += [""]
    return "\n".join(lines)


@dataclass(frozen=True)
class _Row:
    operation: str
    what: str
    how: Sequence[str]


def _row(step: Mapping[str, Any]) -> _Row | None:
    kind, operation = step["type"], DONE[step["op"]]
    if _NOISE.match(kind):
        return None
    old = (step.get("old") or {}).get("inputs") or {}
    new = (step.get("new") or {}).get("inputs") or {}
    name = step["urn"].rpartition("::")[2]
    short = kind.rpartition(":")[2]
    if short == "Service":
        how = _changes(old, new) if old and new else _service(new or old)
        return _Row(operation, f"service {_code(_text((new or old).get('name', name)))}", list(how))
    if short in ("Network", "Volume"):
        named = (new or old).get("name", name)
        return _Row(operation, f"{short.lower()} {_code(_text(named))}", list(_changes(old, new)))
    if short == "Secret":
        return _Row(operation, f"secret {_code(name)}", ["new content"] if old and new else [])
    if short == "RandomPassword":
        return _Row(operation, f"generated password {_code(name)}", [])
    if short == "Stash":
        value = (new or old).get("input", {})
        where = f"{_code(_text(value.get('volume', '')))} on {_code(_text(value.get('node', '')))}"
        return _Row(operation, "place of a volume", [where])
    return _Row(operation, f"{short} {_code(name)}", list(_changes(old, new)))


def _service(inputs: _Inputs) -> Iterator[str]:
    """What a reviewer asks of a service that is new."""
    flat = dict(_flat(inputs))
    yield f"image {_code(flat.get('image', ''))}"
    for rule in sorted({value for path, value in flat.items() if path.endswith(".rule")}):
        yield f"routed by {_code(rule)}"
    if ports := [value for path, value in flat.items() if path.endswith("publishedPort")]:
        yield f"ports {_code(', '.join(ports))}"


def _changes(old: _Inputs, new: _Inputs) -> Iterator[str]:
    """Each input that differs, by its name in the field's terms."""
    if not old or not new:
        return
    before, after = dict(_flat(old)), dict(_flat(new))
    for path in sorted({*before, *after}):
        was, becomes = before.get(path), after.get(path)
        if was == becomes:
            continue
        if path.startswith("secret file"):
            yield f"{path}: new content" if was and becomes else f"{path}: {_there(was)}"
        elif was is None or becomes is None:
            yield f"{path}: {_there(was)} {_code(becomes or was or '')}"
        else:
            yield f"{path}: {_code(was)} → {_code(becomes)}"


def _there(was: str | None) -> str:
    return "added" if was is None else "removed"


_PREFIXES = (("taskSpec.containerSpec.", ""), ("taskSpec.", ""))


def _flat(inputs: _Inputs) -> Iterator[tuple[str, str]]:
    """Path and value of each input; lists whose order says nothing go by what names their items."""
    for path, value in _leaves(inputs, ""):
        for prefix, instead in _PREFIXES:
            if path.startswith(prefix):
                path = instead + path.removeprefix(prefix)
        yield path, value


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and SECRET in value:
        yield path, "[secret]"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key != "__defaults":
                yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _item(item, path, index)
    else:
        yield path, _text(value)


def _item(item: Any, path: str, index: int) -> Iterator[tuple[str, str]]:
    last = path.rpartition(".")[2]
    if last == "labels" and isinstance(item, Mapping) and "label" in item:
        yield f"label {_text(item['label'])}", _text(item.get("value", ""))
    elif last == "secrets" and isinstance(item, Mapping):
        yield f"secret file {_text(item.get('fileName'))}", _text(item.get("secretName"))
    elif last == "args" and isinstance(item, str) and item.startswith("--"):
        name, _, text = item.partition("=")
        yield f"flag {name}", text
    elif last == "constraints":
        yield f"constraint {_text(item)}", "set"
    else:
        yield from _leaves(item, f"{path}[{index}]")


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and SECRET in value:
        return "[secret]"
    if value == UNKNOWN:
        return "known after the deployment"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return str(value)


def _code(text: str) -> str:
    """`text` as code in a cell of a table; a digest by its first twelve digits, as Docker does."""
    text = re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1", text).replace("|", "\\|")
    text = text if len(text) <= _LONG else f"{text[:_LONG]}…"
    text = " ".join(text.split())
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def show(stack: str, words: Sequence[str]) -> None:
    """Prints the report; a Problem, after it, when the preview failed."""
    found = preview(words)
    print(markdown(stack, found), end="")
    if found.failed:
        raise Problem(f"the preview of {stack} failed; the report says why")
