"""Long texts that tasks are given, each a file of its own."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def script(name: str) -> str:
    """Return the shell script `name` as `sh -c` takes it.

    Comments are left out: another comment must not be an update of the service.
    """
    lines = (FOLDER / name).read_text().splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))
