"""Times and sizes as people read them."""

from __future__ import annotations

from datetime import timedelta

_TIMES = ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))
"""Units of time, each with the seconds in it; two of one are written, not one of the next."""
_SIZES = ("KiB", "MiB", "GiB", "TiB")
"""Units of size, each of 1024 of the one before; the first of 1024 bytes."""


def span(time: timedelta) -> str:
    """Return a length of time, rounded down: `40 s`, `12 min`, `5 h`, `3 days`."""
    seconds = max(0, int(time.total_seconds()))
    count, unit = next((each for each in _TIMES if seconds >= 2 * each[0]), _TIMES[-1])
    return f"{seconds // count} {unit}"


def size(count: float) -> str:
    """Return a number of bytes, without its sign: `12 B`, `320 MiB`, `1.2 GiB`, `34 GiB`."""
    value, unit = abs(count), "B"
    for larger in _SIZES:
        if value >= 1000:
            value, unit = value / 1024, larger
    digits = 1 if unit != "B" and value < 9.95 else 0
    return f"{value:.{digits}f} {unit}"
