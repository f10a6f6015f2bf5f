"""The times of a schedule: the five fields of a cron line, as `registry-gc` reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from itertools import product

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
MAX_LENGTH = 1000
"""Characters of the longest schedule: it is an argument of a program."""
_PART = re.compile(
    r"(\*|(?P<first>[0-9]{1,2})(-(?P<last>[0-9]{1,2}))?)(/(?P<step>[1-9][0-9]{0,2}))?"
)


class _Cron(Kind[str]):
    must = "a time in five fields: minute, hour, day, month, day of the week"

    def parse(self, text: str) -> str:
        _, _, days, months, _ = _fields(text)
        if not _takes_either(text) and min(days) > max(DAYS_OF_MONTH[each - 1] for each in months):
            raise WrongValueError("a time that comes: there is no such day")
        return text

    def example(self, default: str | None) -> str:
        return default or "0 4 * * *"


CRON = _Cron()


def due_before(text: str, moment: datetime) -> datetime:
    """Return the last time before `moment` that a schedule has; its times are UTC.

    `WrongValueError` when `text` is none.
    """
    minutes, hours, days, months, weekdays = _fields(text)
    day = moment.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        # Sunday is 0 and 7.
        of_week = bool({day.isoweekday(), day.isoweekday() % 7} & weekdays)
        fits = any if _takes_either(text) else all
        if day.month in months and fits((day.day in days, of_week)):
            for hour, minute in product(sorted(hours, reverse=True), sorted(minutes, reverse=True)):
                if (time := day.replace(hour=hour, minute=minute)) < moment:
                    return time
        day -= timedelta(days=1)


def _fields(text: str) -> list[set[int]]:
    """Return the numbers that each field names; `WrongValueError` when one is wrong."""
    fields = text.split(" ")
    if len(fields) != len(FIELDS) or len(text) > MAX_LENGTH:
        raise WrongValueError(_Cron.must)
    return [set(_numbers(text, field)) for text, field in zip(fields, FIELDS.items(), strict=True)]


def _takes_either(text: str) -> bool:
    """Return whether one of the two fields of days is enough: both say something."""
    _, _, day, _, weekday = text.split(" ")
    return not (day.startswith("*") or weekday.startswith("*"))


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
