"""Checks what is passed on to a program against the schema of that program's own configuration.

A program ignores a key that it doesn't know, or ends at it, and ends at a value of a wrong type.
The schemas are made from the programs (see `tests/schema`), so all of that is one line in the
preview.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from settings.reader import Reader, close_to
from settings.stack_file import Step, path_of

DURATION = re.compile(r"0|(([0-9]{1,6}(\.[0-9]{0,6})?|\.[0-9]{1,6})(ns|us|µs|μs|ms|s|m|h)){1,6}")
"""Text that Go reads as a duration, as far as a registry needs: no sign, at most 114 years a
part."""
SECONDS = re.compile(rf"[0-9]{{1,9}}|{DURATION.pattern}")
"""Text that Traefik reads as a duration: a number without a unit is of seconds."""
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s@]+/?")
"""Address without a path, as a storage driver sends clients to."""
_A_DURATION = ("a duration with its unit, such as 10s, 5m or 1h30m", "10s")
FORMATS = {
    "duration": (DURATION, *_A_DURATION),
    "seconds": (SECONDS, *_A_DURATION),
    "origin": (ORIGIN, "an address without a path", "https://images.example.com"),
}
"""Texts of each format: as Go reads them, in words, and an example."""
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_SHORT = 12
"""Up to how many names a message lists."""
_MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that a setting's value is passed on to."""

    key: str
    """The setting, without namespace."""
    name: str
    """The program, in messages."""
    schema: Mapping[str, Any]
    is_checked: Callable[[str], bool]
    """False for dotted paths that stay as they are, whatever they have."""
    is_known_version: bool = True
    """False for another version than the schema is of, which may have further options."""
    reads_flags: bool = False
    """It gets flags: names are the same in capitals, and a text is a list of its parts."""


def conform(reader: Reader, config: Mapping[str, Any], program: Program) -> Mapping[str, Any]:
    """Return `config` with the types that the program takes; note in `reader` what has none.

    Encrypted values are always texts, and the CLI takes digits for a number: "true" and "5" become
    a boolean and a number, and a number a text, where the program takes nothing else. Words of
    which it takes a few become lower case.
    """
    converted = _Check(reader, program).value(config, program.schema, (program.key,))
    return converted if isinstance(converted, Mapping) else {}


class _Check:
    def __init__(self, reader: Reader, program: Program) -> None:
        self._reader = reader
        self._program = program

    def value(self, value: Any, schema: Mapping[str, Any], path: tuple[Step, ...]) -> Any:
        """Return `value` as `schema` has it, or as it is when that can't be."""
        if not self._is_checked(path):
            return value
        if value is None:
            self._remove(path, "has no value: give it one, or take it out.")
            return value
        kind = schema.get("type")
        if kind == ["object", "boolean"] and not isinstance(value, Mapping):
            return self._scalar(value, {"type": "boolean"}, path)
        if kind in ("object", ["object", "boolean"]):
            return self._map(value, schema, path)
        if kind == "array":
            return self._list(value, schema, path)
        return value if kind is None else self._scalar(value, schema, path)

    def _is_checked(self, path: tuple[Step, ...]) -> bool:
        return len(path) == 1 or self._program.is_checked(".".join(map(str, path[1:])))

    def _map(self, value: Any, schema: Mapping[str, Any], path: tuple[Step, ...]) -> Any:
        if not isinstance(value, Mapping):
            self._remove(path, "must be a map of names to values.")
            return value
        if not value and self._program.reads_flags and schema["type"] == "object" and len(path) > 1:
            # A flag for it would have no value.
            self._remove(path, "is an empty map: take it out.")
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", False)
        form = schema.get("propertyNames", {}).get("pattern", ".*")
        converted = {}
        for name, each in value.items():
            folded = name.lower() if self._program.reads_flags else name
            below = known.get(folded, others)
            converted[name] = each
            if not self._is_checked((*path, name)):
                continue
            if below is False and not self._program.is_known_version:
                self._reader.warnings.append(
                    f"registry:{path_of(*path, name)} isn't checked: {self._program.name} of the"
                    " version that this program is made for has no such option"
                )
            elif below is False:
                reason = f"is nothing that {self._program.name} takes.{_hint(folded, known)}"
                self._remove((*path, name), reason)
            elif not re.fullmatch(form, name, re.DOTALL):
                reason = f"has a name that {self._program.name} doesn't take within an option."
                self._remove((*path, name), reason)
            else:
                converted[name] = self.value(each, below, (*path, name))
        required = list(schema.get("required", ()))
        if "else" in schema and converted.get("enabled") is not False:
            required += schema["else"]["required"]
        for name in required:
            if name not in value:
                must, example = _must(known[name])
                self._wrong((*path, name), f"is missing: it must be {must}.", example)
        return converted

    def _list(self, value: Any, schema: Mapping[str, Any], path: tuple[Step, ...]) -> Any:
        if self._program.reads_flags and isinstance(value, str | int | float) and value != "":
            value = str(value).split(",")
        if value == [] and self._program.reads_flags:
            self._remove(path, "is an empty list: take it out.")
            return value
        if not isinstance(value, list):
            first = path_of(*path, 0)
            self._remove(path, f"must be a list: take it out, then set registry:{first}.")
            return value
        return [
            self.value(each, schema["items"], (*path, index)) for index, each in enumerate(value)
        ]

    def _scalar(self, value: Any, schema: Mapping[str, Any], path: tuple[Step, ...]) -> Any:
        converted = _converted(value, schema)
        if _fits(converted, schema):
            return converted
        must, example = _must(schema)
        if isinstance(value, Mapping | list) or schema == {"type": "string"}:
            self._remove(path, f"must be {must}.")
        else:
            shown = self._reader.shown(self._program.key, value)
            self._wrong(path, f"is {shown}: it must be {must}.", example)
        return value

    def _wrong(self, path: tuple[Step, ...], reason: str, example: str) -> None:
        self._reader.problem(path_of(*path), reason, example, path=True)

    def _remove(self, path: tuple[Step, ...], reason: str) -> None:
        self._reader.remove(path_of(*path), reason)


def _converted(value: Any, schema: Mapping[str, Any]) -> Any:
    kind = schema["type"]
    if isinstance(value, str):
        for word in schema.get("enum", ()):
            if word.lower() == value.lower():
                return word
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if kind == "number" and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if kind == "string" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    if schema["type"] == "boolean":
        return isinstance(value, bool)
    if schema["type"] == "integer":
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        least, most = schema.get("minimum", -_MAX_INTEGER), schema.get("maximum", _MAX_INTEGER)
        step: int = schema.get("multipleOf", 1)
        return bool(least <= value <= most) and value % step == 0
    if schema["type"] == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if "enum" in schema:
        return value in schema["enum"]
    return "format" not in schema or FORMATS[schema["format"]][0].fullmatch(value) is not None


def _must(schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a value must be, in words, and an example."""
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}", schema["enum"][0]
    if "format" in schema:
        _, must, example = FORMATS[schema["format"]]
        return must, example
    if schema["type"] == "boolean":
        return "true or false", "true"
    if schema["type"] == "integer":
        return _whole_number(schema)
    if schema["type"] == "number":
        return "a number", "0.5"
    return "a text", "…"


def _whole_number(schema: Mapping[str, Any]) -> tuple[str, str]:
    least, most, step = (schema.get(key) for key in ("minimum", "maximum", "multipleOf"))
    limits = f" from {least}" + (f" to {most}" if most else " on") if least is not None else ""
    steps = f" that is a multiple of {step}" if step else ""
    return f"a whole number{limits}{steps}", str(max(least or 0, 10))


def _hint(name: str, known: Mapping[str, Any]) -> str:
    listed = f" There are {', '.join(known)}." if len(known) <= _SHORT else ""
    return close_to(name, known) or listed
