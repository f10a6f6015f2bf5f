"""What a swarm says of itself, read once, and the little that is done to it directly.

The docker provider knows no nodes, so labels on them are read and set here. The address of the
engine is found as the `docker` command finds it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
import docker.errors
import pulumi
from docker.context import ContextAPI
from docker.utils import kwargs_from_env

DEFAULT_HOST = "unix:///var/run/docker.sock"
CONNECT_SECONDS = 10
"""How long an engine may take for one answer."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the swarm."""

    id: str
    name: str
    """Host name; two nodes may have the same."""
    state: str
    """`ready`, `down`, `unknown` or `disconnected`."""
    availability: str
    """`active`, `pause` or `drain`."""
    labels: Mapping[str, str]

    @property
    def usable(self) -> bool:
        """Whether Swarm would start a task here."""
        return self.state == "ready" and self.availability == "active"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that services could be on, or that has the name of one."""

    name: str
    driver: str
    scope: str


@dataclass(frozen=True, kw_only=True)
class Swarm:
    """One look at a swarm through one of its managers."""

    host: str
    """The manager's engine, as a URL."""
    node_id: str
    """Node of that engine."""
    nodes: tuple[Node, ...]
    networks: Mapping[str, Network] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    """Image of each service, by the service's name; Swarm adds the digest."""

    def pinned_image(self, service: str, image: str) -> str:
        """`image`, with the digest that `service` runs it at, if it does.

        Docker notes the digest of a tag when it makes a service. Without it here, each
        preview would show the digest as about to go.
        """
        running = self.images.get(service, "")
        return running if running.partition("@")[0] == image else image

    def require_network(self, name: str, created_here: bool) -> None:
        """`RunError` unless services can use network `name`, or it will be made here."""
        network = self.networks.get(name)
        if network is None:
            if created_here:
                return
            raise pulumi.RunError(
                f"registry:network is {name!r}, and the swarm has no such network. Deploy the stack"
                " that owns it first, or make it:\n"
                f"      docker network create --driver overlay --attachable {name}\n"
                "  or let this stack own it:\n"
                "      pulumi config set registry:createNetwork true"
            )
        if network.driver != "overlay" or network.scope != "swarm":
            raise pulumi.RunError(
                f"registry:network is {name!r}, which is a {network.scope} network with the driver"
                f" {network.driver}: services need an overlay network. Name another:\n"
                "      pulumi config set registry:network NAME"
            )


def engine_host(configured: str | None) -> str:
    """The engine's address: as configured, else as the `docker` command would find it."""
    context = os.environ.get("DOCKER_CONTEXT")
    host = configured or os.environ.get("DOCKER_HOST") or _context_host(context)
    # The provider prefers the context to the host that it is told.
    if context and _context_host(context) != host:
        raise pulumi.RunError(
            f"DOCKER_CONTEXT={context} would send the deployment to another engine than {host}."
            " Type:\n      unset DOCKER_CONTEXT"
        )
    return host


def _context_host(name: str | None) -> str:
    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except (docker.errors.DockerException, OSError) as error:
        raise pulumi.RunError(f"The current docker context can't be read: {error}") from error
    if name and context is None:
        raise pulumi.RunError(f"DOCKER_CONTEXT={name}: there is no such docker context.")
    host = context.Host if context is not None else None
    # The SDK's form of the default differs from the docker command's.
    return DEFAULT_HOST if host is None or host.startswith("http+unix") else str(host)


@contextlib.contextmanager
def connected(host: str) -> Iterator[docker.APIClient]:
    """A client of the engine at `host`; `RunError` when it can't be reached or refuses."""
    try:
        client = docker.APIClient(
            base_url=host,
            version="auto",
            timeout=CONNECT_SECONDS,
            # The other way forks, which a process with gRPC's threads in it doesn't survive.
            use_ssh_client=False,
            tls=kwargs_from_env().get("tls", False),
        )
    except (docker.errors.DockerException, OSError) as error:
        raise pulumi.RunError(
            f"No Docker engine answers at {host}: {error}\n"
            "  Start it, or name another with DOCKER_HOST or:\n"
            "      pulumi config set docker:host ssh://USER@MANAGER"
        ) from error
    try:
        yield client
    except docker.errors.DockerException as error:
        raise pulumi.RunError(f"The Docker engine at {host} says: {error}") from error
    finally:
        client.close()


def look(configured_host: str | None) -> Swarm:
    """The swarm behind the engine; `RunError` unless that engine is one of its managers."""
    host = engine_host(configured_host)
    with connected(host) as client:
        about = client.info()["Swarm"]
        if about["LocalNodeState"] != "active":
            raise pulumi.RunError(
                f"The Docker engine at {host} isn't part of a swarm. On that machine, type:\n"
                "      docker swarm init"
            )
        if not about["ControlAvailable"]:
            managers = ", ".join(peer["Addr"] for peer in about.get("RemoteManagers") or [])
            raise pulumi.RunError(
                f"The Docker engine at {host} is a worker, and only a manager takes deployments."
                f" Managers of its swarm: {managers}. Type:\n"
                "      pulumi config set docker:host ssh://USER@MANAGER"
            )
        return Swarm(
            host=host,
            node_id=about["NodeID"],
            nodes=tuple(_node(raw) for raw in client.nodes()),
            networks={
                raw["Name"]: Network(name=raw["Name"], driver=raw["Driver"], scope=raw["Scope"])
                for raw in client.networks()
            },
            images={
                raw["Spec"]["Name"]: raw["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
                for raw in client.services()
                if "ContainerSpec" in raw["Spec"]["TaskTemplate"]
            },
        )


def _node(raw: Mapping[str, Any]) -> Node:
    return Node(
        id=raw["ID"],
        name=raw["Description"]["Hostname"],
        state=raw["Status"]["State"],
        availability=raw["Spec"]["Availability"],
        labels=raw["Spec"].get("Labels") or {},
    )


def label_only(host: str, label: str, node_id: str) -> None:
    """Puts `label=true` on the node and takes it off every other; does nothing when it is so.

    Other labels stay as they are: an update of a node replaces all of it, so each is read
    right before, and Swarm refuses the update if somebody came between.
    """
    with connected(host) as client:
        for raw in client.nodes():
            labels = dict(raw["Spec"].get("Labels") or {})
            wanted = labels | {label: "true"}
            if raw["ID"] != node_id:
                wanted = {key: value for key, value in labels.items() if key != label}
            if wanted != labels:
                spec = raw["Spec"] | {"Labels": wanted}
                client.update_node(raw["ID"], raw["Version"]["Index"], spec)
