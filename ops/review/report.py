"""A preview as a report in Markdown, for who reviews a deployment."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.bootstrap.console import UserError, say
from ops.review.changes import changes, gap
from ops.review.preview import Preview, parse_events, run_preview
from ops.review.step import Step, operation, resource

_ORDER = ("delete", "replace", "change", "create")
"""Operations, the gravest first."""


@dataclass(frozen=True)
class Report:
    """A preview for its reviewer."""

    markdown: str
    error: str | None
    """Message with which the command fails that made the report; None: it doesn't."""

    def publish(self, post: Callable[[str], None] | None = None) -> None:
        """Print the report on stdout and hand it to `post`; raise a UserError for its error."""
        print(self.markdown, end="", flush=True)
        if post:
            post(self.markdown)
        if self.error:
            raise UserError(self.error)


def deployment_report(stack: str, *flags: str) -> Report:
    """Return the changes that a deployment of the stack would make; `flags` are Pulumi's."""
    preview = run_preview(stack, *flags)
    if preview.failed:
        return _failure(stack, preview)
    return Report(markdown(stack, preview), None)


def drift_report(stack: str) -> Report:
    """Return how the stack differs from its last deployment; nothing is changed.

    The refresh finds what was changed or removed by hand. The program, which `pulumi refresh`
    alone doesn't run, finds nodes that are down, drained or without their label.
    """
    preview = run_preview(stack, "--refresh")
    if preview.failed:
        return _failure(stack, preview)
    # Not --expect-no-changes, which also fails when the engine is reached by another address.
    if not any(map(operation, preview.shown_steps)):
        return Report(f"**{stack}**: all is as it was deployed\n", None)
    return Report(
        "What runs isn't what was deployed. A deployment would put it back:\n\n"
        + markdown(stack, preview),
        f"stack {stack} has drifted; to put it back:"
        f" pulumi up --refresh --run-program --stack {stack}",
    )


@contextlib.contextmanager
def gaps_reported() -> Iterator[tuple[str, ...]]:
    """Print the warnings of `gap_warnings` after a preview that Pulumi shows itself.

    Yields the flags for that preview.
    """
    # Without it, Pulumi doesn't know the flag.
    os.environ["PULUMI_DEBUG_COMMANDS"] = "true"
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events"
        yield ("--event-log", str(events))
        for line in gap_warnings(parse_events(events.read_text() if events.exists() else "")):
            say(line)


def gap_warnings(preview: Preview) -> list[str]:
    """Return a sentence for each resource that is deleted before its new one is made."""
    return [
        f"warning: {resource(step)}: {sentence}"
        for step in preview.shown_steps
        if step["urn"] in preview.deleted_first
        for sentence in gap(step)
    ]


def markdown(stack: str, preview: Preview) -> str:
    """Return a headline, a table of the changes, and the warnings."""
    steps = preview.shown_steps
    counts = Counter(map(operation, steps))
    unchanged = counts.pop("", 0)
    operations = [*_ORDER, *sorted(set(counts) - set(_ORDER))]
    totals = [f"{counts[name]} to {name}" for name in operations if counts[name]]
    if totals and unchanged:
        totals.append(f"{unchanged} unchanged")
    parts = [f"**{stack}**: {', '.join(totals) or 'no changes'}"]
    if totals:
        # Steps come in the order in which they were ready, which differs each time.
        weighted = sorted((_weight(step), _row(preview, step)) for step in steps if operation(step))
        rows = [row for _, row in weighted]
        heads = ("operation", "resource", "what changes")
        parts.append("\n".join([_line(heads), _line(("---",) * 3), *rows]))
    if preview.warnings:
        parts.append(f"Warnings:\n\n{_fenced(preview.warnings)}")
    return "\n\n".join(parts) + "\n"


def _row(preview: Preview, step: Step) -> str:
    lines = changes(step, deleted_first=step["urn"] in preview.deleted_first)
    return _line((operation(step), resource(step), "<br>".join(lines)))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _weight(step: Step) -> int:
    name = operation(step)
    return _ORDER.index(name) if name in _ORDER else -1


def _failure(stack: str, preview: Preview) -> Report:
    text = f"**{stack}**: the preview failed, so this can't be deployed\n\n"
    return Report(
        f"{text}{_fenced(preview.errors)}\n",
        f"the preview of stack {stack} failed; its report has the error",
    )


def _fenced(texts: Sequence[str]) -> str:
    text = "\n".join(sorted(set(texts)))
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
