"""The object store of a stack, read from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.distribution.storage import StorageDriver, driver_named, drivers_in, keeps_files
from ops.config import Config


@dataclass(frozen=True)
class Store:
    """An object store, as a stack's settings name it."""

    stack: str
    driver: str
    config: Mapping[str, Any] = field(repr=False)
    """Configuration of the registry."""
    image: str
    """Image of the registry."""
    ca: str | None
    """PEM: CA of the store's certificate, besides those that the image trusts."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Parameters of the driver."""
        parameters: Mapping[str, Any] = self.config["storage"][self.driver] or {}
        return parameters

    @property
    def bucket(self) -> str:
        """Name of the bucket, or of what this kind of store calls one."""
        return self._known.bucket_of(self.parameters)

    @property
    def address(self) -> str:
        """Address or account of the store, else the driver's name."""
        return self._known.address(self.parameters) or self.driver

    @property
    def _known(self) -> StorageDriver:
        return driver_named(self.driver)


def store_of(whole: Config) -> Store | None:
    """Return the object store that a stack's configuration, with its secrets, names.

    None where its images are files.
    """
    registry = whole.registry()
    if keeps_files(registry.config):
        return None
    driver = drivers_in(registry.config)[0]
    return Store(whole.stack, driver, registry.config, registry.image, registry.ca)
