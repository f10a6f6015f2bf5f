"""Lines about the disks that images are on: free space, and how fast it goes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from components.distribution.config import DATA_PATH
from components.swarm.location import described
from components.swarm.preflight import LITTLE_SPACE
from ops.bootstrap import state
from ops.bootstrap.console import write_whole
from ops.quantities import size, span
from ops.status.line import Line, State
from ops.status.measure import MeasureError, output_beside
from ops.status.snapshot import Deployed, Swarm

LITTLE_PART = 0.1
"""Less free than this part of the disk is worth a warning."""
SOON = timedelta(days=14)
"""A disk that is full by then, at its present pace, is worth a warning."""
PACE = timedelta(hours=1)
"""Shorter times between two looks say nothing of a pace."""
MEMORY = timedelta(days=1)
"""Age at which an earlier look makes room for the present one."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A file system, in bytes."""

    total: int
    used: int
    free: int
    """Bytes that others than root may still write."""


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """Use of a disk at an earlier look."""

    at: datetime
    used: int


def disk_lines(stack: Deployed, swarm: Swarm) -> list[Line]:
    """Return a line for the registry, and for each mirror that keeps files."""
    lines = []
    for name, inputs in sorted(stack.services.items()):
        short = stack.short(name)
        # Others have the images' volume too, and no `df`.
        if short != "registry" and not short.startswith("mirror-"):
            continue
        mounts = inputs["taskSpec"]["containerSpec"].get("mounts") or []
        title = "disk" if short == "registry" else f"disk {short}"
        if any(mount["target"] == DATA_PATH for mount in mounts):
            lines.append(_line(stack, swarm, name, title))
        elif short == "registry":
            lines.append(Line(title=title, state="off", text=_bucket(stack)))
    return lines


def _line(stack: Deployed, swarm: Swarm, name: str, title: str) -> Line:
    running = swarm.running(name)
    if not running:
        text = "not known while no task of the service runs"
        return Line(title=title, state="unknown", text=text)
    task = running[0]
    try:
        disk = parsed(output_beside(swarm, name, task, ["df", "-P", "-k", DATA_PATH]))
    except MeasureError as error:
        return Line(title=title, state="unknown", text=str(error))
    memory = Memory(stack.stack, name)
    node = swarm.node_names.get(task["NodeID"], "?")
    line = disk_line(title, node, disk, memory.read(), swarm.now)
    if line.state != "ok" and title == "disk":
        line = replace(line, commands=(f"make gc STACK={stack.stack}", *line.commands))
    memory.keep(disk.used, swarm.now)
    return line


def parsed(output: str) -> Disk:
    """Return what `df -P -k` printed; `MeasureError` when it is something else."""
    # A long name of the device has a line of its own in BusyBox.
    columns = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%\s", output)
    if not columns:
        raise MeasureError(f"`df` in the task printed no sizes: {output.strip()[:200]!r}")
    total, used, free = (int(each) * 1024 for each in columns.groups())
    return Disk(total=total, used=used, free=free)


def disk_line(title: str, node: str, disk: Disk, earlier: Earlier | None, now: datetime) -> Line:
    """Return the line for a disk, compared with an `earlier` look."""
    share = disk.free / disk.total if disk.total else 0.0
    text = f"{node}: {size(disk.free)} of {size(disk.total)} free ({share:.0%})"
    facts: dict[str, Any] = {"node": node, "total": disk.total, "free": disk.free}
    severity: State = "ok"
    if share < LITTLE_PART:
        severity = "warning"
    if earlier:
        passed, growth = now - earlier.at, disk.used - earlier.used
        more = "more" if growth >= 0 else "less"
        text += f", {size(growth)} {more} used than {span(passed)} ago"
        facts |= {"growth": growth, "growth_seconds": int(passed.total_seconds())}
        if passed >= PACE and growth > 0 and (left := passed * (disk.free / growth)) < SOON:
            text += f": full in {span(left)} at this pace"
            severity = "warning"
    if disk.free < LITTLE_SPACE:
        severity = "wrong"
    return Line(
        title=title,
        state=severity,
        text=text,
        commands=() if severity == "ok" else ("docker system df -v  # on that node",),
        facts=facts,
    )


def _bucket(stack: Deployed) -> str:
    location = stack.state.noted("registry-data-place")
    where = f"the images are in {described(location)}" if location else "no volume is mounted"
    return f"none: {where}"


class Memory:
    """Memory of an earlier look, from this checkout, at a service's disk."""

    def __init__(self, stack: str, service: str) -> None:
        self._file = state.FOLDER / "status" / f"{stack}.json"
        self._service = service

    def read(self) -> Earlier | None:
        """Return it; None before the first look."""
        try:
            noted = self._all()[self._service]
            return Earlier(at=datetime.fromisoformat(noted["at"]), used=int(noted["used"]))
        except (LookupError, ValueError, TypeError):
            return None

    def keep(self, used: int, now: datetime) -> None:
        """Keep the present look, unless an earlier one is still new enough to compare with."""
        earlier = self.read()
        if earlier and timedelta() <= now - earlier.at < MEMORY:
            return
        noted = {**self._all(), self._service: {"at": now.isoformat(), "used": used}}
        state.FOLDER.mkdir(mode=0o700, exist_ok=True)
        self._file.parent.mkdir(exist_ok=True)
        write_whole(self._file, json.dumps(noted, indent=1))

    def _all(self) -> Mapping[str, Any]:
        try:
            return dict(json.loads(self._file.read_text()))
        except (OSError, ValueError):
            return {}
