"""What a deployment would change, as its reviewer reads it: markdown from `pulumi preview`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops import changes
from ops.bootstrap.console import Problem, say

_ORDER = ("delete", "replace", "change", "create")
"""The gravest first."""


@dataclass(frozen=True)
class Report:
    """What a preview came to."""

    markdown: str
    problem: str | None
    """What the command that made it is to fail with."""

    def tell(self, post: Callable[[str], None] | None = None) -> None:
        """Prints it on stdout, and posts it; a Problem when it has one."""
        print(self.markdown, end="", flush=True)
        if post:
            post(self.markdown)
        if self.problem:
            raise Problem(self.problem)


@dataclass(frozen=True)
class Findings:
    """What a preview found."""

    steps: dict[str, changes.Step]
    """The last one of each resource, by URN: a refresh comes before the one that counts."""
    errors: list[str]
    warnings: list[str]
    deleted_first: set[str]
    """URNs of resources that are replaced, and deleted before the new one is made."""


def preview(stack: str, *flags: str) -> Report:
    """What a deployment of the stack would change; `flags` are Pulumi's."""
    code, found = _preview(stack, *flags)
    if code != 0:
        return _failed(stack, found)
    return Report(markdown(stack, found), None)


@contextlib.contextmanager
def gaps_shown() -> Iterator[tuple[str, ...]]:
    """Say, after a preview that Pulumi shows itself, what is deleted before its new one is made.

    The preview gets the flags that this yields.
    """
    # Without it, Pulumi doesn't know the flag.
    os.environ["PULUMI_DEBUG_COMMANDS"] = "true"
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events"
        yield ("--event-log", str(events))
        for line in gaps(read(events.read_text() if events.exists() else "")):
            say(line)


def gaps(found: Findings) -> list[str]:
    """Return a sentence for each resource that is deleted before its new one is made."""
    return [
        f"warning: {changes.resource(step)}: {sentence}"
        for step in _shown(found)
        if step["urn"] in found.deleted_first
        for sentence in changes.gap(step)
    ]


def drift(stack: str) -> Report:
    """What a deployment would put back, since it isn't as it was deployed; changes nothing.

    The refresh finds what was changed or removed by hand, and the program, which a mere
    `pulumi refresh` doesn't run, nodes that are down, drained or without their label.
    """
    code, found = _preview(stack, "--refresh")
    if code != 0:
        return _failed(stack, found)
    # Not --expect-no-changes, which also fails where the engine is looked at by another address.
    if not any(map(changes.operation, _shown(found))):
        return Report(f"**{stack}**: all is as it was deployed\n", None)
    return Report(
        "What runs isn't what was deployed. A deployment would put it back:\n\n"
        + markdown(stack, found),
        f"stack {stack} has drifted; to put it back:"
        f" pulumi up --refresh --run-program --stack {stack}",
    )


def markdown(stack: str, found: Findings) -> str:
    """One headline, a table of what changes, and the warnings."""
    steps = _shown(found)
    counts = Counter(map(changes.operation, steps))
    unchanged = counts.pop("", 0)
    words = [*_ORDER, *sorted(set(counts) - set(_ORDER))]
    told = [f"{counts[word]} to {word}" for word in words if counts[word]]
    if told and unchanged:
        told.append(f"{unchanged} unchanged")
    parts = [f"**{stack}**: {', '.join(told) or 'no changes'}"]
    if told:
        rows = [_row(found, step) for step in steps if changes.operation(step)]
        heads = ("operation", "resource", "what changes")
        parts.append("\n".join([_line(heads), _line(("---",) * 3), *sorted(rows, key=_weight)]))
    if found.warnings:
        parts.append(f"Warnings:\n\n{_fenced(found.warnings)}")
    return "\n\n".join(parts) + "\n"


def read(events: str) -> Findings:
    """What is in a stream of events, one on each line."""
    found = Findings({}, [], [], set())
    for line in events.splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # Something else that was printed.
            continue
        if step := event.get("resourcePreEvent", {}).get("metadata"):
            if step["op"] not in changes.BESIDES:
                found.steps[step["urn"]] = step
            elif step["op"] == changes.DELETE_REPLACED and not _is_replaced(found, step["urn"]):
                # Where the new one is made first, this comes in the end.
                found.deleted_first.add(step["urn"])
        elif told := event.get("diagnosticEvent"):
            # The others, down to debugging, have values in them as they are, secrets too.
            texts = {"error": found.errors, "warning": found.warnings}.get(told["severity"])
            if texts is not None and not told.get("ephemeral"):
                texts.append(str(told["message"]).strip())
        elif broken := event.get("policyEvent"):
            must = broken["enforcementLevel"] == "mandatory"
            # The first line is the policy's own description.
            what = str(broken["message"]).strip().partition("\n")[2] or str(broken["message"])
            (found.errors if must else found.warnings).append(f"{broken['policyName']}: {what}")
    return found


def _is_replaced(found: Findings, urn: str) -> bool:
    return urn in found.steps and found.steps[urn]["op"] == "replace"


def _shown(found: Findings) -> list[changes.Step]:
    return [step for step in found.steps.values() if changes.kind(step)]


def _row(found: Findings, step: changes.Step) -> str:
    lines = changes.changes(step, deleted_first=step["urn"] in found.deleted_first)
    return _line((changes.operation(step), changes.resource(step), "<br>".join(lines)))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _weight(row: str) -> tuple[int, str]:
    """Steps come in the order in which they were ready, another one each time."""
    what = row.split()[1]
    return (_ORDER.index(what) if what in _ORDER else -1, row)


def _failed(stack: str, found: Findings) -> Report:
    errors = [error for error in found.errors if error != "preview failed"] or ["without a word"]
    text = f"**{stack}**: the preview failed, so this can't be deployed\n\n{_fenced(errors)}\n"
    return Report(text, f"the preview of stack {stack} failed; its report has the error")


def _fenced(texts: Sequence[str]) -> str:
    text = "\n".join(sorted(set(texts)))
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _preview(stack: str, *flags: str) -> tuple[int, Findings]:
    """Exit status, and what was found."""
    say(f"previewing stack {stack}")
    words = ["--json", "--show-sames", "--non-interactive", "--color", "never", "--stack", stack]
    # No time limit: it grows with the stack.
    done = subprocess.run(
        ["pulumi", "preview", *words, *flags],
        # Plain --json leaves the policies out.
        env={**os.environ, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stderr.strip()
    if said:
        say(said)
    found = read(done.stdout)
    if not found.errors and said:
        found.errors.append(said)
    return done.returncode, found
