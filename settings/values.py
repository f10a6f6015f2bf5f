"""The values of a setting that is a map of names to values of several kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from settings.kinds import Kind, WrongValueError
from settings.reader import Reader

T = TypeVar("T")


class Values:
    """The values of the map at a path, by name; what is wrong with them is noted in the reader."""

    def __init__(self, reader: Reader, path: str, values: Mapping[str, Any]) -> None:
        self._reader, self._path, self._values = reader, path, values

    def get(self, name: str, kind: Kind[Any], default: T) -> T:
        """Return a value; `default` where there is none, or a wrong one, which is noted."""
        value = self._values.get(name)
        if name not in self._values:
            return default
        # The CLI takes true and false for booleans, and digits for a number.
        text = str(value).lower() if isinstance(value, bool) else value
        text = str(text) if isinstance(text, int) else text
        try:
            if not isinstance(text, str):
                raise WrongValueError(kind.must)
            parsed: T = kind.parse(text)
        except WrongValueError as error:
            reason = f"is {self._reader.shown(self._path, value)}: it must be {error}."
            example = kind.example(default)
            self._reader.problem(f"{self._path}.{name}", reason, example, path=True)
            return default
        return parsed

    def required(self, name: str, kind: Kind[T], sample: T) -> T:
        """Return a value; `sample` where it is missing or wrong, which is noted."""
        if self._values.get(name) is None:
            reason = f"is missing: it must be {kind.must}."
            self._reader.problem(f"{self._path}.{name}", reason, kind.example(sample), path=True)
            return sample
        return self.get(name, kind, sample)
