"""Where a stack keeps data, made of its settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pulumi

from components import Storage, StorageArgs, SwarmStack, VolumeOptions
from components.run.target import Target
from components.storage import CERTIFICATES_STORAGE, IMAGES_STORAGE, MIRRORS_STORAGE
from components.swarm.location import Location, Volume
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class Storages:
    """Storages of a stack."""

    images: Storage
    mirrors: Storage | None
    certificates: Storage | None

    def __iter__(self) -> Iterator[Storage]:
        """Iterate over those that there are."""
        return (each for each in (self.images, self.mirrors, self.certificates) if each)


def declare_storages(
    settings: Settings, stack: SwarmStack, target: Target, opts: pulumi.ResourceOptions
) -> Storages:
    """Declare the storage of all data that the stack keeps."""
    volumes, constraints = settings.volumes, settings.registry.constraints

    def storage(
        name: str,
        options: VolumeOptions,
        location: Location,
        constraints: Sequence[str],
        apart_from: Location | None = None,
    ) -> Storage:
        args = StorageArgs(
            stack=stack,
            options=options,
            location=location,
            target=target,
            constraints=constraints,
            apart_from=apart_from,
            destroy=settings.destroy_data,
        )
        return Storage(name, args, opts)

    images = storage(IMAGES_STORAGE, volumes.images, settings.location, constraints)
    mirrors = certificates = None
    if settings.mirrors:
        location = settings.mirrors_location
        # A cache fills a disk some day: not that of the images, if it can be helped.
        mirrors = storage(MIRRORS_STORAGE, volumes.mirrors, location, constraints, images.location)
    if settings.proxy and settings.proxy.acme:
        volume = Volume(name=volumes.certificates.name)
        on_managers = ["node.role == manager"]
        certificates = storage(CERTIFICATES_STORAGE, volumes.certificates, volume, on_managers)
    return Storages(images=images, mirrors=mirrors, certificates=certificates)
