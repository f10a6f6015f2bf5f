"""Programs of the tools image that work on a registry's storage while it runs.

They get what the registry itself has of it: its configuration, its volume or the keys of its
object store, its networks. They listen nowhere, and have no Docker socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.distribution.config import CA_FILE, CONFIG_PATH
from components.distribution.service import Files, TaskArgs
from components.run.deployed import once
from components.swarm.service import SwarmService, swarm_service
from components.swarm.stack import SwarmStack
from components.swarm.task import (
    MountedData,
    always_restart,
    duration,
    go_memory,
    json_file_log,
    limits,
    program_probe,
    secret_file,
)

STORAGE_FILES = (CONFIG_PATH, CA_FILE)
"""Files of a registry's task that are about its storage; the others are about logins."""
USER = "0:0"
"""The user of a registry, whose files are root's."""
STOP_SECONDS = 60
"""Time that a program has, after SIGTERM, to end at a safe point."""


@dataclass(frozen=True, kw_only=True)
class StorageAccess:
    """Access to the storage of a registry, as the registry itself has it."""

    files: Files
    """Its configuration, and the CA of its object store, by path."""
    data: MountedData
    """Its mounts, and the nodes that have them."""
    networks: Sequence[pulumi.Input[str]]
    """Full ids of its networks: an object store may be on one of them, Redis is."""
    constraints: Sequence[str] = ()
    """Its placement constraints besides those of the data."""
    ready: pulumi.Output[bool] | None = None
    """The registry runs as declared, which a service waits for; None: nobody waits."""

    @classmethod
    def of(
        cls, args: TaskArgs, files: Files, networks: Sequence[pulumi.Input[str]]
    ) -> StorageAccess:
        """Return the access of a registry's task, which has `files` and further `networks`."""
        return cls(
            files={path: secret for path, secret in files.items() if path in STORAGE_FILES},
            data=args.data,
            networks=[*args.networks, *networks],
            constraints=args.options.constraints,
        )


def tool_service(
    name: str,
    *,
    stack: SwarmStack,
    service: str,
    image: str,
    command: Sequence[str],
    access: StorageAccess,
    memory_mib: int,
    opts: pulumi.ResourceOptions,
) -> SwarmService:
    """Declare the service `<stack>_<service>`: one task of a program that does its own waiting.

    `command` is the program with its arguments; with the one argument `healthcheck` it is the
    health check. It is restarted whenever it ends.
    """
    task = docker.ServiceTaskSpecArgs(
        container_spec=docker.ServiceTaskSpecContainerSpecArgs(
            # An update of the registry may be undone, and what it rests on with it.
            image=once(access.ready, image) if access.ready else image,
            commands=list(command),
            # The one variable here: the provider sends several in random order, which restarts
            # tasks.
            env=go_memory(memory_mib),
            user=USER,
            secrets=[secret_file(path, secret) for path, secret in access.files.items()],
            mounts=list(access.data.mounts),
            # No client waits for it, and each check starts a large program.
            healthcheck=program_probe(command[0], "healthcheck", interval="10s"),
            read_only=True,
            stop_grace_period=duration(STOP_SECONDS),
        ),
        networks_advanceds=[
            docker.ServiceTaskSpecNetworksAdvancedArgs(id=network) for network in access.networks
        ],
        placement=docker.ServiceTaskSpecPlacementArgs(
            constraints=[*access.data.constraints, *access.constraints]
        ),
        resources=limits(memory_mib, None),
        restart_policy=always_restart(),
        log_driver=json_file_log(stack.logs),
    )
    return swarm_service(
        name,
        stack=stack,
        service=service,
        task=task,
        # Two at once would do the same work.
        order="stop-first",
        opts=opts,
    )
