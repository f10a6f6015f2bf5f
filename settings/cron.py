"""The times of a schedule: the five fields of a cron line, as `registry-gc` reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from settings.kinds import Kind, WrongValueError

FIELDS: Mapping[str, tuple[int, int]] = {
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "month": (1, 12),
    "day of the week": (0, 7),
}
"""Fields in their order, with the least and the greatest number."""
DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days that each month has at the most."""
_PART = re.compile(r"(\*|(?P<first>\d{1,2})(-(?P<last>\d{1,2}))?)(/(?P<step>[1-9]\d{0,2}))?")


class _Cron(Kind[str]):
    must = "a time in five fields: minute, hour, day, month, day of the week"

    def parse(self, text: str) -> str:
        fields = text.split(" ")
        if len(fields) != len(FIELDS):
            raise WrongValueError(self.must)
        numbers = [
            set(_numbers(text, field)) for text, field in zip(fields, FIELDS.items(), strict=True)
        ]
        days, months = numbers[2], numbers[3]
        # Of both fields of days one is enough, if both say something.
        by_date = fields[4].startswith("*") or fields[2].startswith("*")
        if by_date and min(days) > max(DAYS_OF_MONTH[month - 1] for month in months):
            raise WrongValueError("a time that comes: there is no such day")
        return text

    def example(self, default: str | None) -> str:
        return default or "0 4 * * *"


CRON = _Cron()


def _numbers(text: str, field: tuple[str, tuple[int, int]]) -> Iterable[int]:
    """Yield the numbers that one field names; `WrongValueError` when it isn't one."""
    name, (low, high) = field
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise WrongValueError(f"a time whose {name} is like *, 5, 1-5 or */15, or several: 1,5")
        first = int(match["first"] or low)
        # A step goes on to the end.
        alone = match["first"] and not match["last"] and not match["step"]
        last = int(match["last"] or (first if alone else high))
        if not low <= first <= last <= high:
            raise WrongValueError(f"a time whose {name} is from {low} to {high}")
        yield from range(first, last + 1, int(match["step"] or 1))
