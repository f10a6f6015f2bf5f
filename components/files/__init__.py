"""Long texts that tasks are given, each a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent


def script(name: str) -> str:
    """Return the shell script `name` as `sh -c` takes it, without comments."""
    return "\n".join(_lines(name))


def configuration(name: str, **values: object) -> str:
    """Return the configuration file `name`, without comments, with `values` for its `${name}`."""
    text = "".join(f"{line}\n" for line in _lines(name))
    return Template(text).substitute(values) if values else text


def _lines(name: str) -> Iterator[str]:
    """Yield all lines but comments: another comment must not be an update of a service."""
    for line in (FOLDER / name).read_text().splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line
