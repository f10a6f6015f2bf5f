"""Services that look after the registry's storage by a schedule, made of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pulumi

from components import (
    Backup,
    BackupArgs,
    GarbageCollection,
    GarbageCollectionArgs,
    Registry,
    SwarmStack,
)
from components.run.target import Target
from components.swarm.rollout import RolloutArgs, running
from components.swarm.service import SwarmService
from settings import Settings


def declare_maintenance(
    settings: Settings,
    stack: SwarmStack,
    target: Target,
    rollout: RolloutArgs,
    registry: Registry,
    opts: pulumi.ResourceOptions,
) -> Sequence[SwarmService]:
    """Declare the services that have a schedule, and return them."""
    gc = settings.gc if settings.gc and settings.gc.schedule else None
    backup = settings.backup if settings.backup and settings.backup.schedule else None
    if not (gc or backup):
        return []
    # One that remembers blobs must be gone: Swarm brings it back where the update fails.
    ready = running(target, [registry.service], rollout)
    storage = replace(registry.storage, ready=ready)
    services = []
    if gc:
        collection = GarbageCollectionArgs(stack=stack, options=gc, storage=storage)
        services.append(GarbageCollection("gc", collection, opts).service)
    if backup:
        copies = BackupArgs(stack=stack, options=backup, storage=storage)
        services.append(Backup("backup", copies, opts).service)
    return services
