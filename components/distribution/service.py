"""What a registry and its mirrors have alike: their tasks, and their services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pulumi
import pulumi_docker as docker

from components.distribution.config import (
    CA_FILE,
    CA_FOLDER,
    CONFIG_PATH,
    PORT,
    TOKEN_PATH,
    ConfigOptions,
)
from components.files import script
from components.swarm.service import SwarmService, swarm_service
from components.swarm.stack import SwarmStack
from components.swarm.task import (
    MountedData,
    always_restart,
    duration,
    go_memory,
    json_file_log,
    limits,
    liveness_probe,
    secret_file,
)
from components.traefik.dynamic import RETRY_AFTER_SECONDS
from components.traefik.route import HealthCheck, Route

GRACEFUL_STOP = script("graceful-stop.sh")
STORAGE_FIRST = script("storage-first.sh")
SPARE_SECONDS = 15
"""Time that a stop may take beyond serving on and draining, until Swarm kills the task."""
HEAP_FRACTION = 0.6
"""Share of the task's memory for Go's heap (GOMEMLIMIT); the rest is for stacks and page cache."""
GARBAGE_PERCENT = 200
"""Garbage that Go lets grow below that, in percent of what is in use (GOGC). With its default, 100,
the registry collects it at almost every blob that it reads, since each takes a buffer of 4 MiB."""


@dataclass(frozen=True, kw_only=True)
class TaskOptions(ConfigOptions):
    """Options of each task, of a registry or of a mirror."""

    memory_mib: int = 512
    """Hard limit of one task, MiB."""
    cpus: float | None = None
    """Limit of one task, cores; None for no limit."""
    constraints: Sequence[str] = ()
    """Placement constraints besides those of the data, such as `node.platform.arch == x86_64`."""
    ca: str | None = None
    """PEM: CA of the object store's certificate, besides those that the image trusts."""


@dataclass(frozen=True, kw_only=True)
class TaskArgs:
    """Arguments of every task."""

    stack: SwarmStack
    options: TaskOptions
    networks: Sequence[pulumi.Input[str]]
    """Full ids of overlay networks: the one that Traefik is on, then further ones, where an object
    store is, or a scanner."""
    htpasswd: docker.Secret | None
    """bcrypt login lines; None where Traefik asks for the login, or tokens are asked for."""
    jwks: pulumi.Input[str] | None = None
    """Public keys of the stack's token server, once it runs; None where logins count."""
    data: MountedData = field(default_factory=MountedData)
    """Mounts with the images, at DATA_PATH; nothing when they are in an object store."""


HEALTH = HealthCheck(path="/", timeout_seconds=10)
"""Its path answers 503 while the storage is out of reach. While a hundred passwords are checked at
once, that takes 5 s."""
NO_LISTENER_PORT = 1
"""Port of a registry's task that nothing listens on."""

Files = Mapping[str, docker.Secret]
"""Swarm secrets by the path that a task finds them at."""


def go_variables(memory_mib: int) -> dict[str, str]:
    """Return the variables for Go of a registry that has so many MiB."""
    return {**go_memory(memory_mib, HEAP_FRACTION), "GOGC": str(GARBAGE_PERCENT)}


def registry_task(
    args: TaskArgs,
    image: str,
    files: Files,
    *,
    discovery_seconds: int,
    variables: Mapping[str, str] | None = None,
    folder: str | None = None,
    networks: Sequence[pulumi.Input[str]] = (),
    spread: str | None = None,
) -> docker.ServiceTaskSpecArgs:
    """Return a task that runs the registry with `files`, one of them at CONFIG_PATH.

    When it must end it serves on for `discovery_seconds`, until Traefik has noticed. When the
    engine itself stops it allows every container 10 s, whatever its service asks for, and a task
    can't tell that stop from an update. A task that serves on for longer is killed then, without a
    drain. This is accepted: the alternative is requests that fail during each update.

    `variables` are for all to see; `folder` is its working folder; `networks` come on top of those
    of `args`; it is spread over the values of node label `spread`.
    """
    options = args.options
    variables = {**go_variables(options.memory_mib), **(variables or {})}
    if CA_FILE in files:
        variables["SSL_CERT_DIR"] = CA_FOLDER  # Go reads it besides its file of CA certificates.
    assignments = [f"{key}={value}" for key, value in variables.items()]
    stop = ["/bin/sh", "-c", GRACEFUL_STOP, "graceful-stop", str(discovery_seconds)]
    start = ["/bin/sh", "-c", STORAGE_FIRST, "storage-first"]
    return docker.ServiceTaskSpecArgs(
        container_spec=docker.ServiceTaskSpecContainerSpecArgs(
            image=image,
            # Registry 3 sends traces to localhost by default. The one variable here:
            # the provider sends several in random order, which restarts tasks.
            env={"OTEL_TRACES_EXPORTER": "none"},
            commands=[*stop, "/usr/bin/env", *assignments, *start, "/entrypoint.sh", CONFIG_PATH],
            dir=folder,
            secrets=[secret_file(path, secret) for path, secret in files.items()],
            mounts=list(args.data.mounts),
            # While the storage is out of reach the answer is 503: a restart wouldn't bring it back.
            healthcheck=liveness_probe(f"http://127.0.0.1:{PORT}{HEALTH.path}"),
            read_only=True,
            # Uploads that a stopping registry still drains must not be killed.
            stop_grace_period=duration(discovery_seconds + options.drain_seconds + SPARE_SECONDS),
        ),
        networks_advanceds=[
            docker.ServiceTaskSpecNetworksAdvancedArgs(id=network)
            for network in (*args.networks, *networks)
        ],
        placement=docker.ServiceTaskSpecPlacementArgs(
            constraints=[*args.data.constraints, *options.constraints],
            prefs=[spread] if spread else None,
        ),
        resources=limits(options.memory_mib, options.cpus),
        restart_policy=always_restart(),
        log_driver=json_file_log(args.stack.logs),
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
    has_tokens: bool = False,
) -> SwarmService:
    """Declare the Swarm service `<stack>_<service>` of such tasks."""
    serving = route if replicas == 1 else route.to_several_tasks(HEALTH)
    return swarm_service(
        name,
        stack=args.stack,
        service=service,
        labels=serving.labels(PORT) | (no_token_server_labels(route) if has_tokens else {}),
        task=task,
        replicas=replicas,
        # Two registries on one volume get on: state is in files and signed with one secret.
        # So the new one takes over when it is healthy, and no request finds nobody.
        order="start-first",
        opts=opts,
    )


def no_token_server_labels(route: Route) -> dict[str, str]:
    """Return labels by which Traefik answers 502 at TOKEN_PATH while no token server runs.

    Traefik forgets a service none of whose tasks runs. The registry would get these requests, and
    answer 404: clients wouldn't try again, and people would look for another mistake.
    """
    name = f"{route.name}-no-token"
    middleware = f"{name}-retry-after"
    fallback = replace(route, path=TOKEN_PATH, tag=name, middlewares=(middleware,))
    fallback = replace(fallback, allow=(), limit=None, cors={}, users={})
    # The token server's own routers have the same rule, and its length for a priority.
    fallback = replace(fallback, priority=len(fallback.rule) - 1)
    header = f"traefik.http.middlewares.{middleware}.headers.customresponseheaders.Retry-After"
    return {**fallback.labels(NO_LISTENER_PORT), header: str(RETRY_AFTER_SECONDS)}
