"""Backups: copies of the registry's images elsewhere, made while the registry goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
import pulumi_docker as docker

from components.distribution.tool import StorageAccess, tool_service
from components.swarm.service import SwarmService
from components.swarm.stack import SwarmStack
from components.version import TOOLS_IMAGE

PROGRAM = "/bin/registry-backup"
SERVICE = "backup"
"""The service is `<stack>_backup`."""
FOLDER = "/var/lib/registry-backup"
"""Path, in a task, of a folder or volume with backups."""
STORAGE_FILE = "/etc/registry-backup/storage.yml"
"""Path, in a task, of what describes an object store with backups."""


@dataclass(frozen=True, kw_only=True)
class BackupLocation:
    """Location of backups: a folder or a volume of the registry's node, or an object store."""

    source: str = ""
    """Folder, which begins with a slash, or name of a volume; empty: an object store."""
    storage: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The object store with its keys, as `storage` of a registry's configuration."""

    @property
    def path(self) -> str:
        """Path in a task, as the program takes it."""
        return FOLDER if self.source else STORAGE_FILE

    @property
    def mount_type(self) -> str:
        """Kind of its mount: a folder has to be there, a volume is made by Swarm."""
        return "bind" if self.source.startswith("/") else "volume"

    @property
    def files(self) -> Mapping[str, str]:
        """Secret texts that a task needs, by path."""
        # JSON is YAML.
        document = {"version": "0.1", "storage": self.storage}
        return {} if self.source else {STORAGE_FILE: json.dumps(document)}


@dataclass(frozen=True, kw_only=True)
class BackupOptions:
    """Options of backups."""

    image: str = TOOLS_IMAGE
    name: str
    """Name of the registry, its host name: no other one is backed up to the same location."""
    location: BackupLocation
    s3: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Parameters of object stores that are named when a backup is asked for."""
    schedule: str | None = None
    """Times in UTC, as the five fields of a cron line; None: only when one is asked for."""
    keep: int = 7
    """Number of generations that stay."""
    memory_mib: int = 256
    """Hard limit of its task, MiB."""

    @property
    def flags(self) -> Sequence[str]:
        """Flags of the program."""
        return ["--name", self.name, "--keep", str(self.keep)]


@dataclass(frozen=True, kw_only=True)
class BackupArgs:
    """Arguments of `Backup`. Its options need a schedule."""

    stack: SwarmStack
    options: BackupOptions
    storage: StorageAccess
    """Of the registry."""


class Backup(pulumi.ComponentResource):
    """Makes backups by a schedule, as one task beside the registry.

    Raises `ValueError` when its options have no schedule.
    """

    service: SwarmService
    """The Swarm service."""

    def __init__(
        self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options, location = args.options, args.options.location
        if options.schedule is None:
            raise ValueError("backups without a schedule are no service")
        super().__init__("registry:index:Backup", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        access = args.storage
        secrets = {
            path: args.stack.secret(f"{name}-storage", text, child)
            for path, text in location.files.items()
        }
        mounts = [_mount(location)] if location.source else []
        self.service = tool_service(
            f"{name}-service",
            stack=args.stack,
            service=SERVICE,
            image=options.image,
            command=[PROGRAM, "schedule", options.schedule, location.path, *options.flags],
            access=replace(
                access,
                files={**access.files, **secrets},
                data=replace(access.data, mounts=[*access.data.mounts, *mounts]),
            ),
            memory_mib=options.memory_mib,
            opts=child,
        )
        self.register_outputs({})


def _mount(location: BackupLocation) -> docker.ServiceTaskSpecContainerSpecMountArgs:
    """Return the folder or volume, as a task finds it."""
    return docker.ServiceTaskSpecContainerSpecMountArgs(
        type=location.mount_type, source=location.source, target=FOLDER
    )
