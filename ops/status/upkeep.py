"""Lines about what runs by a schedule: the last run, and when the next one comes.

A service of the stack does it, and logs a JSON object a line: `waiting` with `until`, `done` with a
`summary`, and errors. Runs by hand are no part of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from components.swarm.task_state import moment
from ops.status.line import Line, size, span, stamp
from ops.status.snapshot import Deployed, Swarm
from ops.status.task_logs import read_logs

LATE = timedelta(hours=1)
"""A run that hasn't begun this long after its time is a fault."""
PERIOD = timedelta(days=62)
"""Age of the oldest run that counts: of a schedule by the month there are two."""
_Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """Something that a service of a stack does by a schedule."""

    title: str
    service: str
    """Name of the service, without the stack's."""
    result: Callable[[_Entry], str] = lambda _: ""
    """Return what a `summary` comes to, in a few words."""


def _collected(summary: _Entry) -> str:
    aside, removed = summary.get("bytes_aside", 0), summary.get("bytes_removed", 0)
    return f"{size(aside)} put aside, {size(removed)} freed"


ALL: Sequence[Upkeep] = (
    Upkeep(title="backup", service="backup"),
    Upkeep(title="collection", service="gc", result=_collected),
)


def upkeep_lines(stack: Deployed, swarm: Swarm) -> list[Line]:
    """Return a line for each."""
    return [_line(stack, swarm, each) for each in ALL]


def _line(stack: Deployed, swarm: Swarm, upkeep: Upkeep) -> Line:
    name = f"{stack.config.swarm_stack}_{upkeep.service}"
    if name not in stack.services:
        return Line(title=upkeep.title, state="off", text="none is scheduled")
    if not swarm.running(name):
        return Line(title=upkeep.title, state="unknown", text="not known: its service doesn't run")
    try:
        logs = read_logs(swarm, [name], PERIOD)
    except OSError as error:
        text = f"not known: the log can't be read ({error})"
        return Line(title=upkeep.title, state="unknown", text=text)
    entries = [(time, entry) for time, text in logs.lines if (entry := _parsed(text))]
    return upkeep_line(upkeep, stack.stack, entries, swarm.now - logs.begin, swarm.now)


def upkeep_line(
    upkeep: Upkeep,
    stack: str,
    entries: Sequence[tuple[datetime, _Entry]],
    period: timedelta,
    now: datetime,
) -> Line:
    """Return the line about what a log has, which goes back for `period`."""
    ends = [
        (time, entry)
        for time, entry in entries
        if entry.get("msg") == "done" or entry.get("level") == "ERROR"
    ]
    until = [moment(entry["until"]) for _, entry in entries if entry.get("msg") == "waiting"]
    text, facts, failed = f"none in the last {span(period)}", dict[str, Any](), False
    if ends:
        time, entry = ends[-1]
        failed = entry.get("msg") != "done"
        outcome = str(entry["msg"]) if failed else upkeep.result(entry.get("summary") or {})
        text = f"{'failed ' if failed else ''}{span(now - time)} ago{outcome and f': {outcome}'}"
        facts = {"at": stamp(time), "failed": failed}
    if until:
        text += f"; the next one {until[-1]:%Y-%m-%d %H:%M} UTC"
        facts["next"] = stamp(until[-1])
    is_late = bool(until) and now - until[-1] > LATE and (not ends or ends[-1][0] < until[-1])
    if is_late:
        text += ", which is late"
    return Line(
        title=upkeep.title,
        state="wrong" if failed or is_late else "ok",
        text=text,
        commands=(f"make logs STACK={stack}",) if failed or is_late else (),
        facts=facts,
    )


def _parsed(text: str) -> _Entry | None:
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, Mapping) else None
