"""What the engine's answers say of tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_Raw = Mapping[str, Any]


def wanted(service: _Raw, current: Sequence[_Raw]) -> int:
    """Return how many tasks shall run: of a global service, one on each node that Swarm chose."""
    mode = service["Spec"]["Mode"]
    if "Global" in mode:
        # One that waits to be started again is `ready`.
        going_on = [task for task in current if task["DesiredState"] in ("running", "ready")]
        return max(1, len({place_of(task) for task in going_on}))
    return int(mode.get("Replicated", {}).get("Replicas", 1))


def is_current(task: _Raw, service: _Raw) -> bool:
    """Return whether the task was made from the service's present specification."""
    spec, template = task["Spec"], service["Spec"]["TaskTemplate"]
    return all(
        spec.get(part) == template.get(part)
        for part in ("ContainerSpec", "Resources", "ForceUpdate")
    )


def place_of(task: _Raw) -> str:
    """Return the replica, or the node of a global service, that the task is one of."""
    return str(task.get("Slot") or task.get("NodeID", ""))


def error_of(task: _Raw) -> str:
    return str(task["Status"].get("Err") or "")


def moment(text: str) -> datetime:
    """Return a moment as an engine writes it, with nanoseconds, in UTC or a zone."""
    return datetime.fromisoformat(re.sub(r"\.\d+", "", text).replace("Z", "+00:00"))
