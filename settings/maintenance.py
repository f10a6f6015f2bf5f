"""Services that look after the registry's storage by a schedule, made of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pulumi

from components import GarbageCollection, GarbageCollectionArgs, Registry, SwarmStack
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
    if settings.gc is None or settings.gc.schedule is None:
        return []
    # One that remembers blobs must be gone: Swarm brings it back where the update fails.
    ready = running(target.swarm.engine, [registry.service], rollout)
    args = GarbageCollectionArgs(
        stack=stack, options=settings.gc, storage=replace(registry.storage, ready=ready)
    )
    return [GarbageCollection("gc", args, opts).service]
