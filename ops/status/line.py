"""One line of the screen, and how times and sizes are written in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

State = Literal["ok", "off", "newer", "warning", "wrong", "unknown"]
"""`off`: it isn't used. `newer`: there is a newer version. `unknown`: it couldn't be asked. None of
these is a fault by itself."""

_UNITS = ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))
"""Units of time, each with the seconds in it; two of one are written, not one of the next."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One finding."""

    title: str
    """Its subject, in one or two words."""
    state: State
    text: str
    """The finding, in a sentence without a full stop."""
    commands: tuple[str, ...] = ()
    """Commands that help or show more; none where all is well."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs: numbers in bytes or seconds, moments in UTC."""


def span(time: timedelta) -> str:
    """Return a length of time, rounded down: `40 s`, `12 min`, `5 h`, `3 days`."""
    seconds = max(0, int(time.total_seconds()))
    size, unit = next((each for each in _UNITS if seconds >= 2 * each[0]), _UNITS[-1])
    return f"{seconds // size} {unit}"


def size(count: float) -> str:
    """Return a number of bytes: `320 MiB`, `1.2 GiB`, `34 GiB`."""
    value, unit = abs(count) / 2**20, "MiB"
    for larger in ("GiB", "TiB"):
        if value >= 1000:
            value, unit = value / 2**10, larger
    return f"{value:.1f} {unit}" if 0 < value < 9.95 else f"{value:.0f} {unit}"


def stamp(time: datetime) -> str:
    """Return a moment for programs, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
