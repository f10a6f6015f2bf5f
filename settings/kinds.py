"""What kinds of value a key takes: each reads a text, and has words for what it must be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


class WrongValueError(ValueError):
    """A text that isn't of a kind; says what it must be, for "it must be …"."""


class Kind(Generic[T]):
    """A kind of value; `T` is its type in the program."""

    must: str
    """Description of such a text, for "it must be …"."""
    names: Sequence[str] = ()
    """Texts of this kind, where there are few."""

    def parse(self, text: str) -> T:
        """Return the value of `text`; `WrongValueError` when it isn't of this kind."""
        raise NotImplementedError

    def example(self, default: T | None) -> str:
        """Return a text of this kind, for a command to type."""
        raise NotImplementedError

    def instead(self, text: str, default: T | None) -> T | None:  # noqa: ARG002 - for others
        """Return what goes on being read in place of a `text` that is wrong."""
        return default


class Choice(Kind[T]):
    """One of some words."""

    def __init__(self, values: Sequence[T]) -> None:
        self._values = {str(value): value for value in values}
        self.names = tuple(self._values)
        self.must = f"one of {', '.join(self.names)}"

    def parse(self, text: str) -> T:
        if text not in self._values:
            raise WrongValueError(self.must)
        return self._values[text]

    def example(self, default: T | None) -> str:
        return self.names[0] if default is None else str(default)


class _Boolean(Kind[bool]):
    must = "one of true, false"

    def parse(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise WrongValueError(self.must)
        return text == "true"

    def example(self, default: bool | None) -> str:
        return "true" if default else "false"


BOOLEAN = _Boolean()


@dataclass(frozen=True)
class Number(Kind[int]):
    """A whole number from `low` to `high`."""

    low: int
    high: int

    @property
    def must(self) -> str:  # type: ignore[override]
        """Return what a text must be."""
        return f"a whole number from {self.low} to {self.high}"

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not self.low <= int(text) <= self.high:
            raise WrongValueError(self.must)
        return int(text)

    def example(self, default: int | None) -> str:
        return str(self.low if default is None else default)


@dataclass(frozen=True)
class Mebibytes(Kind[int]):
    """A size of `low` MiB or more; the value is in MiB."""

    low: int
    must = "a whole number of MiB or GiB"
    pattern = r"[0-9]{1,9}(MiB|GiB|m|g)"

    def parse(self, text: str) -> int:
        if not re.fullmatch(self.pattern, text):
            raise WrongValueError(self.must)
        count = int(re.sub(r"[^0-9]", "", text)) * (1024 if text.endswith(("GiB", "g")) else 1)
        if count < self.low:
            raise WrongValueError(f"{self.low}MiB or more")
        return count

    def example(self, default: int | None) -> str:
        return f"{self.low if default is None else default}MiB"


class _Cores(Kind[float]):
    must = "a number of cores over 0"

    def parse(self, text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) or float(text) == 0:
            raise WrongValueError(self.must)
        return float(text)

    def example(self, default: float | None) -> str:
        return str(default or 1.5)


CORES = _Cores()


@dataclass(frozen=True)
class Rule(Kind[str]):
    """A text, all of which matches a regular expression."""

    pattern: str
    must: str
    sample: str
    """A text of this kind."""

    def admits(self, text: str) -> bool:
        """Return whether `text` is of this kind, all of it."""
        return re.fullmatch(self.pattern, text) is not None

    def parse(self, text: str) -> str:
        if not self.admits(text):
            raise WrongValueError(self.must)
        return text

    def example(self, default: str | None) -> str:  # noqa: ARG002 - the sample says more
        return self.sample

    def instead(self, text: str, default: str | None) -> str:  # noqa: ARG002 - see below
        # So that what is compared with it isn't a problem as well.
        return text


@dataclass(frozen=True, kw_only=True)
class AnHourOrMore(Rule):
    """A time in Go's form, of one unit, that no push takes."""

    why: str
    """Reason that a shorter one is refused."""

    def parse(self, text: str) -> str:
        number, unit = super().parse(text)[:-1], text[-1]
        if int(number) * {"s": 1, "m": 60, "h": 3600}[unit] < 3600:
            raise WrongValueError(f"1h or more: {self.why}")
        return text
