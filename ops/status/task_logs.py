"""The logs of a service's running tasks, as much of them as a look may read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from components.swarm.task_log import read_log
from components.swarm.task_state import moment
from ops.status.snapshot import Swarm

DAY = timedelta(days=1)
MAX_LINES = 10_000
"""Lines of one task that are read, the newest ones."""


@dataclass(frozen=True, kw_only=True)
class TaskLogs:
    """Lines of all running tasks of services."""

    lines: Sequence[tuple[datetime, str]]
    """Each with its time, in the order of time."""
    begin: datetime
    """From here on no line is missing."""


def read_logs(swarm: Swarm, services: Sequence[str], period: timedelta = DAY) -> TaskLogs:
    """Return what tasks that run have logged in the last `period`; `OSError` if one can't be read.

    Those of tasks that have ended may be on nodes that are gone, or be removed by now.
    """
    begin = swarm.now - period
    lines: list[tuple[datetime, str]] = []
    for service in services:
        for task in swarm.running(service):
            text = read_log(
                swarm.client,
                task["ID"],
                tail=MAX_LINES,
                since=int((swarm.now - period).timestamp()),
                timestamps=1,
            )
            read = [line for raw in text.splitlines() if (line := _line(raw))]
            is_cut = len(read) >= MAX_LINES
            begin = max(begin, read[0][0] if is_cut else moment(task["CreatedAt"]))
            lines += read
    return TaskLogs(lines=sorted(lines, key=lambda line: line[0]), begin=begin)


def _line(raw: str) -> tuple[datetime, str] | None:
    """Return a line's time and text; None for what has no time, such as the rest of a long one."""
    time, _, text = raw.partition(" ")
    try:
        return moment(time).astimezone(timezone.utc), text
    except ValueError:
        return None
