"""Logs of the tools image's programs: lines of JSON, and what a person reads in their place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_OF_EACH = ("time", "level", "msg")
"""Fields that each line has."""


def fields_of(line: str) -> Mapping[str, Any] | None:
    """Return the fields of a line; None for one that is something else."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def in_words(fields: Mapping[str, Any]) -> str:
    """Return a line's message with its further fields, for lines that mean nothing special."""
    rest = ", ".join(f"{key} {value}" for key, value in fields.items() if key not in _OF_EACH)
    message = str(fields.get("msg", ""))
    return f"{message}: {rest}" if rest else message
