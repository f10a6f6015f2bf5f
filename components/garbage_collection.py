"""Garbage collection: frees the space of what was deleted, while the registry goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pulumi

from components.distribution.tool import StorageAccess, tool_service
from components.retention import RULES_FILE, RetentionRule, rules_text
from components.swarm.service import SwarmService
from components.swarm.stack import SwarmStack
from components.version import TOOLS_IMAGE

PROGRAM = "/bin/registry-gc"
SERVICE = "gc"
"""The service is `<stack>_gc`."""


@dataclass(frozen=True, kw_only=True)
class GarbageCollectionOptions:
    """Options of a garbage collection."""

    image: str = TOOLS_IMAGE
    schedule: str | None = None
    """Times in UTC, as the five fields of a cron line; None: only when it is asked for."""
    grace: str = "24h"
    """Time for which what nothing needs stays, in Go's form of a duration. It is also the longest
    time that a push may take."""
    trash: str = "168h"
    """Time for which what a run put aside can be brought back; then its space is free."""
    untagged: bool = False
    """Manifests without a tag go too, where the digests that services run are at hand: never by
    the schedule."""
    memory_mib: int = 256
    """Hard limit of its task, MiB."""
    retention: Sequence[RetentionRule] = ()
    """Rules by which tags go before each collection of the schedule; none: all tags stay."""

    @property
    def flags(self) -> Sequence[str]:
        """Flags of the program."""
        return ["--grace", self.grace, "--trash", self.trash]


@dataclass(frozen=True, kw_only=True)
class GarbageCollectionArgs:
    """Arguments of `GarbageCollection`. Its options need a schedule."""

    stack: SwarmStack
    options: GarbageCollectionOptions
    storage: StorageAccess
    """Of a registry that is `collected`."""


class GarbageCollection(pulumi.ComponentResource):
    """Collects by a schedule, as one task beside the registry.

    Raises `ValueError` when its options have no schedule.
    """

    service: SwarmService
    """The Swarm service."""

    def __init__(
        self, name: str, args: GarbageCollectionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = args.options
        if options.schedule is None:
            raise ValueError("a garbage collection without a schedule is no service")
        super().__init__("registry:index:GarbageCollection", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        storage, command = args.storage, [PROGRAM, "schedule", options.schedule, *options.flags]
        if options.retention:
            rules = args.stack.secret(f"{name}-retention", rules_text(options.retention), child)
            storage = replace(storage, files={**storage.files, RULES_FILE: rules})
            command += ["--rules", RULES_FILE]
        self.service = tool_service(
            f"{name}-service",
            stack=args.stack,
            service=SERVICE,
            image=options.image,
            command=command,
            access=storage,
            memory_mib=options.memory_mib,
            opts=child,
        )
        self.register_outputs({})
