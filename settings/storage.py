"""Checks of the storage that `registry:config` names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.distribution.storage import DRIVERS, StorageDriver, drivers_in
from settings.reader import Reader


def check_storage(reader: Reader, config: Mapping[str, Any]) -> None:
    """Note in `reader` what is wrong with the storage that `registry:config` names."""
    drivers = drivers_in(config)
    if len(drivers) > 1:
        problem = f"names {' and '.join(drivers)}: the registry takes one storage driver."
        reader.remove("config.storage", problem)
        return
    for name in drivers:
        driver, parameters = DRIVERS.get(name), config["storage"][name]
        # The schema has what is wrong with others.
        if driver and isinstance(parameters, Mapping):
            check_driver(reader, f"config.storage.{name}", driver, parameters)


def check_driver(
    reader: Reader, path: str, driver: StorageDriver, parameters: Mapping[str, Any]
) -> None:
    """Note in `reader` which `parameters` of a driver, which are at `path`, are missing."""
    for name, example in driver.required.items():
        if parameters.get(name, "") == "":
            reader.problem(f"{path}.{name}", "must be a text that isn't empty.", example, path=True)
    missing = [name for name in driver.joint if name not in parameters]
    if missing and len(missing) < len(driver.joint):
        reason = (
            "is missing: the keys go together. Without both, the machine's own identity is used."
        )
        command = reader.command("set", f"{path}.{missing[0]}", path=True, flags=" --secret")
        reader.problem(f"{path}.{missing[0]}", f"{reason}\n      {command}")
