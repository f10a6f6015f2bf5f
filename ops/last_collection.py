"""How the last garbage collection ended, as the service with its schedule knows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from components.swarm.task_state import moment

if TYPE_CHECKING:
    from docker import APIClient

LOG_LINES = 200


@dataclass(frozen=True, kw_only=True)
class LastCollection:
    """The end of the last garbage collection, and the time of the next."""

    ended: datetime | None
    """None: there has been none, yet."""
    error: str
    """Why it failed; empty when it ended well, or by a signal."""
    bytes_aside: int
    """Size of what it put into the trash."""
    bytes_removed: int
    """Size of what it removed from the trash."""
    next: datetime


def read_last_collection(client: APIClient, swarm_stack: str) -> LastCollection | None:
    """Return how the last collection ended; None where no schedule runs, or it has said nothing.

    One by `make gc` counts from the next one of the schedule on; `registry-gc list` knows it at
    once, in a job. `OSError` when the engine can't read the log.
    """
    from components.swarm.task_log import read_log

    filters = {"service": f"{swarm_stack}_gc", "desired-state": "running"}
    for task in client.tasks(filters):
        if task["Status"]["State"] != "running":
            continue
        lines = read_log(client, task["ID"], tail=LOG_LINES).splitlines()
        for line in reversed(lines):
            if last := _parsed(line):
                return last
    return None


def _parsed(line: str) -> LastCollection | None:
    """Return what a line of the log says; None for any but that of a schedule that waits."""
    try:
        fields: Mapping[str, Any] = json.loads(line)
    except ValueError:
        return None
    if fields.get("msg") != "waiting":
        return None
    last: Mapping[str, Any] = fields.get("last_run") or {}
    return LastCollection(
        ended=moment(last["ended"]) if last else None,
        error=str(fields.get("error") or last.get("error", "")),
        bytes_aside=int(last.get("bytes_aside", 0)),
        bytes_removed=int(last.get("bytes_removed", 0)),
        next=moment(fields["until"]),
    )
