"""What a registry and its mirrors have alike: their tasks, and their services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.distribution.config import AUTHORITIES, CONFIG_PATH, DRAIN_SECONDS, PORT
from components.files import script
from components.swarm.service import SwarmService, swarm_service
from components.swarm.task import (
    always_restart,
    duration,
    json_file_log,
    limits,
    liveness_probe,
    secret_file,
)
from components.traefik.flags import DISCOVERY_SECONDS
from components.traefik.route import Route

AUTHORITY_FILE = f"{AUTHORITIES}/further.pem"

GRACEFUL_STOP = script("graceful-stop.sh")
STORAGE_FIRST = script("storage-first.sh")
SPARE_SECONDS = 15
"""What a stop may take beyond lingering and draining, until Swarm kills the task."""
HEAP = 0.6
"""Part of a task's memory that the registry's own may be; the rest is for stacks and page cache."""


@dataclass(frozen=True, kw_only=True)
class TaskArgs:
    """What every task is told."""

    stack_name: str
    """Swarm stack that the service belongs to."""
    network_id: pulumi.Input[str]
    """Full id of the overlay network that Traefik is on."""
    networks: Sequence[pulumi.Input[str]] = ()
    """Full ids of further overlay networks: where an object store is, or a scanner."""
    mounts: Sequence[docker.ServiceTaskSpecContainerSpecMountArgs] = ()
    """Where the images are, at DATA_PATH; none when the configuration names an object store."""
    constraints: Sequence[pulumi.Input[str]] = ()
    """Placement constraints; all must hold."""
    memory_mib: int = 512
    """Hard limit of one task, MiB."""
    cpus: float | None = None
    """Limit of one task, cores; None for no limit."""
    log_mib: int = 10
    log_files: int = 3
    linger_seconds: int = DISCOVERY_SECONDS
    """How long a task that must end serves on: until Traefik has noticed.

    When the engine itself stops it allows every container 10 s, whatever its service asks for, and
    a task can't tell that stop from an update. A task that lingers for longer is killed then,
    without a drain. This is accepted: the alternative is requests that fail during each update.
    """
    drain_seconds: int = DRAIN_SECONDS
    """How long a task that must end lets requests under way finish, after it has lingered."""
    secret_prefix: str = ""
    """What the names of its Swarm secrets begin with, such as the stack's; none by default."""


Files = Mapping[str, docker.Secret]
"""Swarm secrets by the path that a task finds them at."""


def registry_task(
    args: TaskArgs,
    image: pulumi.Input[str],
    files: Files,
    *,
    variables: Mapping[str, str] | None = None,
    folder: str | None = None,
    networks: Sequence[pulumi.Input[str]] = (),
    spread: str | None = None,
) -> docker.ServiceTaskSpecArgs:
    """A task that runs the registry with `files`, one of them at CONFIG_PATH.

    `variables` are for all to see; `folder` is its working folder; `networks` come on top of those
    of `args`; it is spread over the values of node label `spread`.
    """
    # Go's own limit: before the hard one ends the task, the registry collects its garbage.
    told = {"GOMEMLIMIT": f"{round(args.memory_mib * HEAP)}MiB", **(variables or {})}
    if AUTHORITY_FILE in files:
        # Go reads this folder besides its file of authorities.
        told["SSL_CERT_DIR"] = AUTHORITIES
    words = [f"{key}={value}" for key, value in told.items()]
    stop = ["/bin/sh", "-c", GRACEFUL_STOP, "graceful-stop", str(args.linger_seconds)]
    start = ["/bin/sh", "-c", STORAGE_FIRST, "storage-first"]
    return docker.ServiceTaskSpecArgs(
        container_spec=docker.ServiceTaskSpecContainerSpecArgs(
            image=image,
            # Registry 3 sends traces to localhost unless told not to. The one variable here:
            # the provider sends several in random order, which restarts tasks.
            env={"OTEL_TRACES_EXPORTER": "none"},
            commands=[*stop, "/usr/bin/env", *words, *start, "/entrypoint.sh", CONFIG_PATH],
            dir=folder,
            secrets=[secret_file(path, secret) for path, secret in files.items()],
            mounts=list(args.mounts),
            # While the storage is out of reach the answer is 503: a restart wouldn't bring it back.
            healthcheck=liveness_probe(f"http://127.0.0.1:{PORT}/"),
            read_only=True,
            # Uploads that a stopping registry still drains must not be killed.
            stop_grace_period=duration(args.linger_seconds + args.drain_seconds + SPARE_SECONDS),
        ),
        networks_advanceds=[
            docker.ServiceTaskSpecNetworksAdvancedArgs(id=network)
            for network in (args.network_id, *args.networks, *networks)
        ],
        placement=docker.ServiceTaskSpecPlacementArgs(
            constraints=list(args.constraints), prefs=[spread] if spread else None
        ),
        resources=limits(args.memory_mib, args.cpus),
        restart_policy=always_restart(),
        log_driver=json_file_log(args.log_mib, args.log_files),
    )


def registry_service(
    name: str,
    args: TaskArgs,
    service: str,
    task: docker.ServiceTaskSpecArgs,
    route: Route,
    opts: pulumi.ResourceOptions,
    *,
    replicas: int = 1,
) -> SwarmService:
    """The Swarm service `<stack_name>_<service>` of such tasks."""
    return swarm_service(
        name,
        stack_name=args.stack_name,
        service=service,
        labels=route.labels(PORT),
        task=task,
        replicas=replicas,
        # Two registries on one volume get on: state is in files and signed with one secret.
        # So the new one takes over when it is healthy, and no request finds nobody.
        order="start-first",
        opts=opts,
    )
