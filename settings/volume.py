"""Where data are: `registry:volume…`, `certificates…`, `mirrors…`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from components.distribution.storage import drivers_in, keeps_files
from components.run import takeover
from components.storage import VolumeOptions
from components.swarm.location import (
    CERTIFICATES,
    IMAGES,
    MIRRORED_IMAGES,
    Location,
    Role,
    Volume,
    is_shared,
    object_store,
)
from settings import rules
from settings.reader import Reader
from settings.stack_file import path_of
from settings.way_back import PREFIXES


@dataclass(frozen=True, kw_only=True)
class VolumesSettings:
    """The volumes of a stack."""

    images: VolumeOptions
    """Default `<stack_name>_registry-data`."""
    mirrors: VolumeOptions
    """Volume of the mirrors, if they keep files. Default `<stack_name>_mirrors`."""
    certificates: VolumeOptions
    """Volume of the certificates that ACME obtains, on a manager. Default
    `<stack_name>_certificates`."""
    driver: str | None = None
    """Volume driver of images and mirrors: for storage that all nodes see (NFS), where no node is
    pinned, or for a folder or disk of one node."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The driver's options."""

    @property
    def names(self) -> frozenset[str]:
        """Names of volumes that the stack's data are in, or were in until now."""
        volumes = (self.images, self.mirrors, self.certificates)
        names = {name for volume in volumes for name in (volume.name, volume.moved_from)}
        return frozenset(name for name in names if name)

    def is_pinned(self, config: Mapping[str, Any]) -> bool:
        """Return whether the images are in a volume of one node; `config` is the registry's."""
        return keeps_files(config) and not is_shared(self.driver, self.options)

    def location(self, volume: VolumeOptions, config: Mapping[str, Any]) -> Location:
        """Return where data shall be; a volume of one node without its node yet."""
        if keeps_files(config):
            return Volume(name=volume.name, driver=self.driver, options=self.options)
        (driver,) = drivers_in(config)
        return object_store(driver, config["storage"][driver] or {})


def parse_volumes(reader: Reader, stack_name: str) -> VolumesSettings:
    """Return the volumes of a stack; note in `reader` what is wrong with them."""
    driver, options = _driver(reader)
    images = _volume(reader, IMAGES, f"{stack_name}_registry-data")
    if move := takeover.move():
        images = replace(images, node=move.node or images.node, moved_from=move.moved_from)
    return VolumesSettings(
        images=images,
        mirrors=_volume(reader, MIRRORED_IMAGES, f"{stack_name}_mirrors"),
        certificates=_volume(reader, CERTIFICATES, f"{stack_name}_certificates"),
        driver=driver,
        options=options,
    )


def _volume(reader: Reader, role: Role, default: str) -> VolumeOptions:
    """Return one volume of three keys; `default` is its name."""
    prefix = PREFIXES[role]
    for part in ("Name", "Node", "MovedFrom"):
        reader.unshare(f"{prefix}{part}", f"where one stack's {role.name} are")
    return VolumeOptions(
        role=role,
        name=reader.get(f"{prefix}Name", rules.VOLUME, default),
        node=reader.get(f"{prefix}Node", rules.NODE),
        moved_from=reader.get(f"{prefix}MovedFrom", rules.LOCATION),
    )


def _driver(reader: Reader) -> tuple[str | None, Mapping[str, str]]:
    for key in ("volumeDriver", "volumeOptions"):
        reader.unshare(key, "storage that both stacks would write into")
    options = reader.mapping("volumeOptions", "nfs")
    reader.open("volumeOptions", "`docker volume inspect` shows it; name a file of credentials")
    for name, value in options.items():
        if not isinstance(value, str):
            reader.problem(path_of("volumeOptions", name), "must be a text.", "nfs", path=True)
    driver = reader.get("volumeDriver", rules.NAME)
    if options.get("type") == "tmpfs":
        reason = "is tmpfs, which forgets all images when the registry restarts."
        reader.remove("volumeOptions.type", reason)
    for key in ("volumeNode", "mirrorsNode") if is_shared(driver, options) else ():
        if reader.has(key):
            reason = "can't go with these volumeOptions or this volumeDriver: every node sees it."
            reader.remove(key, reason)
    return driver, options
