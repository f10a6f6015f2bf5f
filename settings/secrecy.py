"""Which values of the registry's configuration are secrets, by their names or their forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.registry_config import OWNED
from policy.leaks import secret_in
from settings.stack_file import Step

_ELSEWHERE = ("storage", *OWNED)
"""Parts with rules of their own: a storage driver's parameters, and what nobody may set."""


def secrets_in(config: Mapping[str, Any]) -> Iterator[tuple[Step, ...]]:
    """Yield the paths of secrets in `registry:config`, such as `redis`, `password`."""
    for path, value in _ends(config, ()):
        dotted = ".".join(str(step) for step in path)
        if any(dotted == part or dotted.startswith(f"{part}.") for part in _ELSEWHERE):
            continue
        names = [step for step in path if isinstance(step, str)]
        # A header is a list of texts, whose name says what they are.
        if secret_in(names[-1], value) or secret_in("", f"{names[-1]}: {value}"):
            yield path


def _ends(value: Any, path: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], str]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _ends(each, (*path, str(name)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _ends(each, (*path, index))
    elif isinstance(value, str) and path:
        yield path, value
