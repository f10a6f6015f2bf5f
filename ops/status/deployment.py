"""The line about the last deployment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from components.swarm.task_state import moment
from ops.quantities import span
from ops.status.line import Line, stamp
from ops.status.snapshot import Deployed

_Raw = Mapping[str, Any]


def deployment_lines(stack: Deployed) -> list[Line]:
    """Return a line with when the stack was deployed, and from which commit."""
    updates = [entry for entry in stack.history if entry["kind"] == "update"]
    good = next((entry for entry in updates if entry["result"] == "succeeded"), None)
    text, facts = "no deployment has come up yet", dict[str, Any]()
    if good:
        version = stack.outputs.version
        text = f"{_when(stack, good)}{_commit(good)}{version and f', version {version}'}"
        facts = {"at": stamp(_time(good)), "commit": _head(good), "version": version}
    if not updates or updates[0] is good:
        return [Line(title="deployment", state="ok", text=text, facts=facts)]
    last = updates[0]
    outcome = "goes on" if last["result"] == "in-progress" else "failed"
    return [
        Line(
            title="deployment",
            state="warning",
            text=f"the one of {_when(stack, last)} {outcome}; the last good one: {text}",
            commands=(f"make preview STACK={stack.stack}",),
            facts=facts,
        )
    ]


def _when(stack: Deployed, entry: _Raw) -> str:
    return f"{_time(entry):%Y-%m-%d %H:%M} UTC, {span(stack.now - _time(entry))} ago"


def _time(entry: _Raw) -> datetime:
    # That of one that was cut off has no end.
    return moment(str(entry.get("endTime") or entry["startTime"])).astimezone(timezone.utc)


def _head(entry: _Raw) -> str:
    return str((entry.get("environment") or {}).get("git.head", ""))


def _commit(entry: _Raw) -> str:
    head = _head(entry)
    changed = (entry.get("environment") or {}).get("git.dirty") == "true"
    return f", commit {head[:9]}{' with changes' if changed else ''}" if head else ""
