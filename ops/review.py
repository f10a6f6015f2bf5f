"""What a deployment would change, as its reviewer reads it: markdown from `pulumi preview`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops import changes
from ops.console import Problem, say

UNEXPECTED = 7
"""Exit status of `pulumi preview --expect-no-changes` when there are changes."""
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


def preview(stack: str) -> Report:
    """What a deployment of the stack would change."""
    code, digest, said = _preview(stack)
    if code != 0:
        return _failed(stack, digest, said)
    return Report(markdown(stack, digest), None)


def drift(stack: str) -> Report:
    """What a deployment would put back, since it isn't as it was deployed; changes nothing.

    The refresh finds what was changed or removed by hand, and the program, which a mere
    `pulumi refresh` doesn't run, nodes that are down, drained or without their label.
    """
    code, digest, said = _preview(stack, "--refresh", "--expect-no-changes")
    if code not in (0, UNEXPECTED):
        return _failed(stack, digest, said)
    if code == 0:
        return Report(f"**{stack}**: all is as it was deployed\n", None)
    return Report(
        "What runs isn't what was deployed. A deployment would put it back:\n\n"
        + markdown(stack, digest),
        f"stack {stack} has drifted; to put it back: pulumi up --refresh --stack {stack}",
    )


def markdown(stack: str, digest: Mapping[str, Any]) -> str:
    """One headline, a table of what changes, and the warnings."""
    # A refresh has a step of its own for each resource, before the one that counts.
    steps = {step["urn"]: step for step in digest.get("steps") or [] if changes.kind(step)}
    counts = Counter(changes.operation(step) for step in steps.values())
    unchanged = counts.pop("", 0)
    words = [*_ORDER, *sorted(set(counts) - set(_ORDER))]
    told = [f"{counts[word]} to {word}" for word in words if counts[word]]
    if told and unchanged:
        told.append(f"{unchanged} unchanged")
    headline = ", ".join(told) or "no changes"
    parts = [f"**{stack}**: {headline}"]
    if told:
        rows = [_row(step) for step in steps.values() if changes.operation(step)]
        heads = ("operation", "resource", "what changes")
        parts.append("\n".join([_line(heads), _line(("---",) * 3), *sorted(rows, key=_weight)]))
    if warnings := _messages(digest, "warning"):
        parts.append(f"Warnings:\n\n{_fenced(warnings)}")
    return "\n\n".join(parts) + "\n"


def _row(step: changes.Step) -> str:
    cells = changes.operation(step), changes.resource(step), "<br>".join(changes.changes(step))
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _weight(row: str) -> tuple[int, str]:
    """Steps come in the order in which they were ready, another one each time."""
    what = row.split()[1]
    return (_ORDER.index(what) if what in _ORDER else -1, row)


def _failed(stack: str, digest: Mapping[str, Any], said: str) -> Report:
    errors = _messages(digest, "error") or [said.strip() or "without a word"]
    text = f"**{stack}**: the preview failed, so this can't be deployed\n\n{_fenced(errors)}\n"
    return Report(text, f"the preview of stack {stack} failed; its report has the error")


def _messages(digest: Mapping[str, Any], severity: str) -> list[str]:
    found = [each for each in digest.get("diagnostics") or [] if each["severity"] == severity]
    texts = (str(each["message"]).removeprefix(f"{severity}: ").strip() for each in found)
    return list(dict.fromkeys(text for text in texts if text))


def _fenced(texts: Sequence[str]) -> str:
    text = "\n".join(texts)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _preview(stack: str, *flags: str) -> tuple[int, Mapping[str, Any], str]:
    """Exit status, what was printed as JSON, and what was said besides."""
    say(f"previewing stack {stack}")
    words = ["--json", "--show-sames", "--non-interactive", "--color", "never", "--stack", stack]
    # Another form of JSON, if somebody has asked for it.
    environment = {**os.environ, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": ""}
    done = subprocess.run(
        ["pulumi", "preview", *words, *flags],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.stderr.strip():
        say(done.stderr.strip())
    try:
        digest = json.loads(done.stdout[max(done.stdout.find("{\n"), 0) :])
    except ValueError:
        return done.returncode or 1, {}, f"{done.stderr}{done.stdout}"
    return done.returncode, digest, done.stderr
