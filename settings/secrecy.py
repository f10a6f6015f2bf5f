"""Which values of the registry's configuration are secrets: by their places, names or forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.distribution.config import OWNED, value_at
from components.distribution.storage import DRIVERS
from policy.leaks import is_secret_setting, secret_in
from settings.stack_file import Step, leaves


def secrets_in(config: Mapping[str, Any]) -> Iterator[tuple[Step, ...]]:
    """Yield the path of each secret in `registry:config`, such as `redis`, `password`."""
    for name, driver in DRIVERS.items():
        parameters = value_at(config, f"storage.{name}")
        if isinstance(parameters, Mapping):
            for parameter in sorted(set(driver.secrets) & set(parameters)):
                yield "storage", name, parameter
    for path, value in ends(config):
        dotted = ".".join(map(str, path))
        if any(dotted == owned or dotted.startswith(f"{owned}.") for owned in OWNED):
            continue  # Refused whatever its value.
        if path[0] == "storage" and path[1:2] and path[1] in DRIVERS:
            named = path[2:3] and path[2] in DRIVERS[str(path[1])].secrets
            if not named and secret_in("", value):
                yield path
        elif is_secret_setting([step for step in path if isinstance(step, str)][-1], value):
            yield path


def ends(config: Any) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Yield each text and number below `config`; the registry takes a number for a text."""
    for path, value in leaves(config):
        if isinstance(value, str | int | float) and not isinstance(value, bool) and path:
            yield path, str(value)
