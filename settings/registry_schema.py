"""Checks `registry:config` against the schema of the registry's own configuration.

The registry ignores a key that it doesn't know, and ends at a value of a wrong type. The schema is
made from its types (see `tests/schema`), so both are one line in the preview.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from settings.reader import Reader, close_to
from settings.stack_file import Step, path_of

SCHEMA_FILE = Path(__file__).parent / "registry_schema.json"
DURATION = re.compile(r"0|((\d{1,6}(\.\d{0,6})?|\.\d{1,6})(ns|us|µs|μs|ms|s|m|h)){1,6}")
"""What Go reads as a duration, as far as a registry needs: no sign, at most 114 years a part."""
_SHORT = 12
"""Up to how many names a message lists."""
_MAX_INTEGER = 2**63 - 1


def conform(
    reader: Reader, config: Mapping[str, Any], is_checked: Callable[[str], bool]
) -> Mapping[str, Any]:
    """Return `config` with the types that the registry takes; note in `reader` what has none.

    Encrypted values are always texts, and the CLI takes digits for a number: "true" and "5" become
    a boolean and a number, and a number a text, where the registry takes nothing else. Words of
    which it takes a few become lower case. Dotted paths that `is_checked` declines stay as they
    are.
    """
    schema = json.loads(SCHEMA_FILE.read_text())
    converted = _Check(reader, is_checked).value(config, schema, ("config",))
    return converted if isinstance(converted, Mapping) else {}


class _Check:
    def __init__(self, reader: Reader, is_checked: Callable[[str], bool]) -> None:
        self._reader = reader
        self._is_checked = is_checked

    def value(self, value: Any, schema: Mapping[str, Any], path: tuple[Step, ...]) -> Any:
        """Return `value` as `schema` has it, or as it is when that can't be."""
        if len(path) > 1 and not self._is_checked(".".join(str(step) for step in path[1:])):
            return value
        if value is None:
            self._remove(path, "has no value: give it one, or take it out.")
            return value
        kind = schema.get("type")
        if kind == "object":
            return self._map(value, schema, path)
        if kind == "array":
            return self._list(value, schema, path)
        return value if kind is None else self._scalar(value, schema, path)

    def _map(self, value: Any, schema: Mapping[str, Any], path: tuple[Step, ...]) -> Any:
        if not isinstance(value, Mapping):
            self._remove(path, "must be a map of names to values.")
            return value
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", False)
        converted = {}
        for name, each in value.items():
            below = known.get(name, others)
            converted[name] = each
            if below is False:
                self._remove(
                    (*path, name), f"is nothing that the registry takes.{_hint(name, known)}"
                )
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
            shown = self._reader.shown("config", value)
            self._wrong(path, f"is {shown}: it must be {must}.", example)
        return value

    def _wrong(self, path: tuple[Step, ...], what: str, example: str) -> None:
        self._reader.problem(path_of(*path), what, example, path=True)

    def _remove(self, path: tuple[Step, ...], what: str) -> None:
        self._reader.remove(path_of(*path), what)


def _converted(value: Any, schema: Mapping[str, Any]) -> Any:
    kind = schema["type"]
    if isinstance(value, str) and value.lower() in schema.get("enum", ()):
        return value.lower()
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if kind == "string" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    if schema["type"] == "boolean":
        return isinstance(value, bool)
    if schema["type"] == "integer":
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return is_number and schema.get("minimum", -_MAX_INTEGER) <= value <= _MAX_INTEGER
    if not isinstance(value, str):
        return False
    if "enum" in schema:
        return value in schema["enum"]
    return schema.get("format") != "duration" or DURATION.fullmatch(value) is not None


def _must(schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a value must be, in words, and an example."""
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}", schema["enum"][0]
    if schema.get("format") == "duration":
        return "a duration with its unit, such as 10s, 5m or 1h30m", "10s"
    if schema["type"] == "boolean":
        return "true or false", "true"
    if schema["type"] == "integer":
        return f"a whole number{' from 0 on' if schema.get('minimum') == 0 else ''}", "10"
    return "a text", "…"


def _hint(name: str, known: Mapping[str, Any]) -> str:
    listed = f" There are {', '.join(known)}." if len(known) <= _SHORT else ""
    return close_to(name, known) or listed
