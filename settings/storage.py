"""Where images are kept: the storage drivers of the registry, and what each must be told.

Names: "Storage" in distribution's documentation, 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.distribution.config import drivers_in
from settings.reader import Reader


@dataclass(frozen=True)
class Driver:
    """What a driver needs under `config.storage.NAME`; all that it takes is in the schema."""

    required: Mapping[str, str]
    """Parameters that it can't do without, each with an example."""
    secret: frozenset[str] = frozenset()
    """Parameters, of which some may be maps, that mustn't be in plain text. Without them it takes
    the identity of the machine that it runs on."""


DRIVERS: Mapping[str, Driver] = {
    "filesystem": Driver({}),
    "s3": Driver(
        {"bucket": "images", "region": "eu-central-1"}, frozenset({"secretkey", "sessiontoken"})
    ),
    "gcs": Driver({"bucket": "images"}, frozenset({"credentials"})),
    "azure": Driver(
        {"accountname": "images", "container": "images"},
        frozenset({"accountkey", "connectionstring", "credentials"}),
    ),
}


def check_storage(reader: Reader, config: Mapping[str, Any]) -> None:
    """Notes in `reader` what is wrong with the storage that `registry:config` names."""
    drivers = drivers_in(config)
    if len(drivers) > 1:
        what = f"names {' and '.join(drivers)}: the registry takes one storage driver."
        reader.remove("config.storage", what)
        return
    for name in drivers:
        driver, parameters = DRIVERS.get(name), config["storage"][name]
        # The schema has what is wrong with others.
        if driver and isinstance(parameters, Mapping):
            _check_driver(reader, f"config.storage.{name}", driver, parameters)


def _check_driver(reader: Reader, path: str, driver: Driver, told: Mapping[str, Any]) -> None:
    for name, example in driver.required.items():
        if told.get(name, "") == "":
            reader.problem(f"{path}.{name}", "must be a text that isn't empty.", example, path=True)
    if ("accesskey" in told) != ("secretkey" in told):
        missing = "secretkey" if "accesskey" in told else "accesskey"
        what = "is missing: the keys go together. Without both, the machine's own identity is used."
        command = reader.command("set", f"{path}.{missing}", path=True, flags=" --secret")
        reader.problem(f"{path}.{missing}", f"{what}\n      {command}")
