"""Where images are kept: the storage drivers of the registry, and what each must be told.

Names: "Storage" in distribution's documentation, 3.1. A driver silently ignores what it doesn't
know, so a slip of the pen here would store images in another place than meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.registry_config import drivers_in
from settings.reader import Reader, close_to
from settings.stack_file import path_of


@dataclass(frozen=True)
class Driver:
    """What a driver takes under `config.storage.NAME`."""

    required: Mapping[str, str]
    """Parameters that it can't do without, each with an example."""
    optional: frozenset[str]
    secret: frozenset[str] = frozenset()
    """Parameters, of which some may be maps, that mustn't be in plain text. Without them it takes
    the identity of the machine that it runs on."""

    @property
    def known(self) -> frozenset[str]:
        """Every parameter's name."""
        return self.optional | self.secret | set(self.required)


DRIVERS: Mapping[str, Driver] = {
    "filesystem": Driver({}, frozenset({"maxthreads", "rootdirectory"})),
    "s3": Driver(
        {"bucket": "images", "region": "eu-central-1"},
        frozenset(
            {"regionendpoint", "forcepathstyle", "encrypt", "keyid", "secure", "skipverify"}
            | {"v4auth", "chunksize", "multipartcopychunksize", "multipartcopymaxconcurrency"}
            | {"multipartcopythresholdsize", "rootdirectory", "storageclass", "useragent"}
            | {"objectacl", "usedualstack", "accelerate", "usefipsendpoint", "redirectendpoint"}
            | {"loglevel", "accesskey"}
        ),
        frozenset({"secretkey", "sessiontoken"}),
    ),
    "gcs": Driver(
        {"bucket": "images"},
        frozenset({"chunksize", "maxconcurrency", "rootdirectory", "useragent"}),
        frozenset({"credentials"}),
    ),
    "azure": Driver(
        {"accountname": "images", "container": "images"},
        frozenset(
            {"realm", "rootdirectory", "serviceurl", "max_retries", "retry_delay", "skipverify"}
        ),
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
        path = f"config.storage.{name}"
        driver, told = DRIVERS.get(name), config["storage"][name]
        if driver is None:
            among = ", ".join(DRIVERS)
            reader.remove(path, f"is not a storage driver: there are {among}.")
        elif not isinstance(told, Mapping):
            reader.remove(path, "must be a map of names to values.")
        else:
            _check_driver(reader, path, driver, told)


def _check_driver(reader: Reader, path: str, driver: Driver, told: Mapping[str, Any]) -> None:
    for name in sorted(set(told) - driver.known):
        hint = close_to(name, driver.known)
        reader.remove(path_of(*path.split("."), name), f"is nothing that this driver takes.{hint}")
    for name, example in driver.required.items():
        if not isinstance(told.get(name), str) or not told[name]:
            reader.problem(f"{path}.{name}", "must be a text that isn't empty.", example, path=True)
    if ("accesskey" in told) != ("secretkey" in told):
        missing = "secretkey" if "accesskey" in told else "accesskey"
        what = "is missing: the keys go together. Without both, the machine's own identity is used."
        command = reader.command("set", f"{path}.{missing}", path=True, flags=" --secret")
        reader.problem(f"{path}.{missing}", f"{what}\n      {command}")
