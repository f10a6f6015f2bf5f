"""Checks `registry:config` against the schema of the registry's own configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from settings import schema
from settings.reader import Reader
from settings.schema import Program

SCHEMA_FILE = Path(__file__).parent / "registry_schema.json"


def conform(
    reader: Reader, config: Mapping[str, Any], is_checked: Callable[[str], bool]
) -> Mapping[str, Any]:
    """Return `config` with the types that the registry takes; note in `reader` what has none.

    Dotted paths that `is_checked` declines stay as they are.
    """
    program = Program(
        key="config",
        name="the registry",
        schema=json.loads(SCHEMA_FILE.read_text()),
        is_checked=is_checked,
    )
    return schema.conform(reader, config, program)
