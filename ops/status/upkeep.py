"""Lines about what runs by a schedule: how the last run ended, and when the next one comes.

A service of the stack does it. Whenever it begins to wait, it logs a JSON object: `msg` is
`waiting`, `until` the time of the next run, `last_run` how the last one ended, be it by hand, and
`error` why the last try came to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from components.swarm.task_state import moment
from ops.program_log import fields_of
from ops.quantities import size, span
from ops.status.line import Line, State, stamp
from ops.status.snapshot import Deployed, Swarm
from ops.status.task_logs import read_logs
from settings.cron import due_before

PERIOD = timedelta(days=62)
"""Age of the oldest line that counts: of a schedule by the month there are two."""
LATE = timedelta(hours=12)
"""A run that goes on this long after it was due is worth a warning: it hangs, or never began."""
_Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """Something that a service of a stack does by a schedule."""

    title: str
    service: str
    """Name of the service, without the stack's."""
    setting: str = ""
    """Setting of its schedule; empty where there is none."""
    result: Callable[[_Entry], str] = lambda _: ""
    """Return what a `last_run` came to, in a few words."""


def _collected(run: _Entry) -> str:
    aside, removed = run.get("bytes_aside", 0), run.get("bytes_removed", 0)
    return f"{size(aside)} put aside, {size(removed)} freed"


def _backed_up(run: _Entry) -> str:
    copied = f"{size(run['bytes_copied'])} copied" if run.get("new") else "nothing was new"
    return f"{copied}, {run.get('tags', 0)} tags"


ALL: Sequence[Upkeep] = (
    Upkeep(
        title="backup",
        service="backup",
        setting="registry:backup.schedule",
        result=_backed_up,
    ),
    Upkeep(title="collection", service="gc", setting="registry:gc.schedule", result=_collected),
)


def upkeep_lines(stack: Deployed, swarm: Swarm) -> list[Line]:
    """Return a line for each."""
    return [_line(stack, swarm, each) for each in ALL]


def _line(stack: Deployed, swarm: Swarm, upkeep: Upkeep) -> Line:
    name = f"{stack.config.swarm_stack}_{upkeep.service}"
    if name not in stack.services:
        hint = f" ({upkeep.setting})" if upkeep.setting else ""
        return Line(title=upkeep.title, state="off", text=f"none is scheduled{hint}")
    if not swarm.running(name):
        return Line(title=upkeep.title, state="unknown", text="not known: its service doesn't run")
    try:
        logs = read_logs(swarm, [name], PERIOD)
    except OSError as error:
        text = f"not known: the log can't be read ({error})"
        return Line(title=upkeep.title, state="unknown", text=text)
    entries = [entry for _, text in logs.lines if (entry := _waiting(text))]
    unknown = Line(title=upkeep.title, state="unknown", text="not known: its log doesn't say it")
    try:
        if not entries:
            return unknown
        missed = _missed(swarm.services[name], entries[-1])
        return upkeep_line(upkeep, stack.stack, entries[-1], swarm.now, missed)
    except (LookupError, TypeError, ValueError, AttributeError):
        return unknown  # An image of another version writes it.


def _missed(service: _Entry, waiting: _Entry) -> Sequence[datetime]:
    """Return which of the last two times of a schedule no run has ended after, the newest first.

    A run whose task is killed, for its memory above all, can say nothing of it.
    """
    command = service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Command") or []
    if "schedule" not in command or waiting.get("error"):
        return ()
    times = [moment(waiting["until"])]
    for _ in range(2):
        times.append(due_before(command[command.index("schedule") + 1], times[-1]))
    ended = [moment(run["ended"])] if (run := waiting.get("last_run")) else []
    # An earlier task may have had another schedule.
    since = max([moment(service["UpdatedAt"]), *ended])
    return [time for time in times[1:] if time > since]


def upkeep_line(
    upkeep: Upkeep, stack: str, waiting: _Entry, now: datetime, missed: Sequence[datetime] = ()
) -> Line:
    """Return the line about what a service has logged as it began to wait.

    `missed` are times of which no run has ended.
    """
    until, run = moment(waiting["until"]), waiting.get("last_run") or {}
    error = str(waiting.get("error") or run.get("error") or "")
    state: State = "warning" if missed or run.get("interrupted") else "ok"
    if error or len(missed) > 1:
        state = "wrong"
    text = "none yet"
    if run:
        outcome = error or ("interrupted" if run.get("interrupted") else upkeep.result(run))
        text = f"{'failed ' if error else ''}{span(now - moment(run['ended']))} ago"
        text += f": {outcome}" if outcome else ""
    elif error:
        text = f"failed: {error}"
    if missed:
        text += f"; the one of {missed[0]:%Y-%m-%d %H:%M} UTC was cut off"
    is_due = now > until
    text += f"; {'due since' if is_due else 'the next one'} {until:%Y-%m-%d %H:%M} UTC"
    if state == "ok" and now - until > LATE:
        state = "warning"
    return Line(
        title=upkeep.title,
        state=state,
        text=text,
        commands=() if state == "ok" else (f"make logs STACK={stack}",),
        facts={"next": stamp(until), "failed": bool(error)}
        | ({"ended": stamp(moment(run["ended"]))} if run else {}),
    )


def _waiting(text: str) -> _Entry | None:
    """Return a line by which a service begins to wait; None for all others."""
    if '"waiting"' not in text:
        return None
    entry = fields_of(text) or {}
    return entry if entry.get("msg") == "waiting" and "until" in entry else None
