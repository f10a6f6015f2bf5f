"""A garbage collection beside a registry, as tests declare it."""

from __future__ import annotations

from typing import Any

import pulumi

from components import (
    GarbageCollection,
    GarbageCollectionArgs,
    GarbageCollectionOptions,
    MountedData,
    StorageAccess,
    SwarmStack,
)
from components.distribution.config import CA_FILE, CONFIG_PATH

from .conftest import Deploy, Recorder
from .shared_components import MOUNT


def collect(deploy: Deploy, **options: Any) -> Recorder:
    """Return what a garbage collection with these options declares."""

    def program() -> None:
        stack = SwarmStack(name="images")
        opts = pulumi.ResourceOptions()
        files = {
            path: stack.secret(name, "text", opts)
            for path, name in ((CONFIG_PATH, "config"), (CA_FILE, "ca"))
        }
        storage = StorageAccess(
            files=files,
            data=MountedData(mounts=[MOUNT], constraints=["node.labels.x == true"]),
            networks=["public-id", "redis-id"],
            constraints=["node.labels.disk == ssd"],
        )
        args = GarbageCollectionArgs(
            stack=stack, options=GarbageCollectionOptions(**options), storage=storage
        )
        GarbageCollection("gc", args)

    return deploy(program)
