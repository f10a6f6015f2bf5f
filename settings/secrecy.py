"""Which values of the registry's configuration are secrets: by their places, names or forms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.registry_config import OWNED
from policy.leaks import names_secret, secret_in
from settings.stack_file import Step
from settings.storage import DRIVERS

_FILE = re.compile(r"\.{0,2}/[\w./@-]+")
_COOKIE = re.compile(r"(set-)?cookie", re.IGNORECASE)


def secrets_in(config: Mapping[str, Any]) -> Iterator[tuple[Step, ...]]:
    """Yield the path of each secret in `registry:config`, such as `redis`, `password`."""
    for name, driver in DRIVERS.items():
        parameters = _map(_map(config, "storage"), name)
        for parameter in sorted(driver.secret & set(parameters)):
            yield "storage", name, parameter
    for path, value in _ends(config, ()):
        dotted = ".".join(map(str, path))
        if any(dotted == owned or dotted.startswith(f"{owned}.") for owned in OWNED):
            continue  # Refused whatever its value.
        if path[0] == "storage" and path[1:2] and path[1] in DRIVERS:
            named = path[2:3] and path[2] in DRIVERS[str(path[1])].secret
            if not named and secret_in("", value):
                yield path
        elif _is_secret([step for step in path if isinstance(step, str)][-1], value):
            yield path


def _is_secret(name: str, value: str) -> bool:
    # A header is a list of texts, whose name says what they are.
    if secret_in("", value) or secret_in("", f"{name}: {value}") or _COOKIE.fullmatch(name):
        return True
    if not value or not names_secret(name):
        return False
    # The registry reads a key from a file, and takes a password as it stands, whatever it is.
    return not (name.lower().endswith("key") and _FILE.fullmatch(value))


def _map(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = values.get(name)
    return part if isinstance(part, Mapping) else {}


def _ends(value: Any, path: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Yield each text and number below `value`; the registry takes a number for a text."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _ends(each, (*path, str(name)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _ends(each, (*path, index))
    elif isinstance(value, str | int | float) and not isinstance(value, bool) and path:
        yield path, str(value)
