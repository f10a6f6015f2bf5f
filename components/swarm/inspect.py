"""What a swarm says of itself, read once.

The docker provider knows no nodes, so they are read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.errors import NetworkMissingError, NetworkNotEncryptedError, NotAnOverlayError
from components.swarm.engine import Engine, connected
from components.swarm.engine_kind import closed_sockets
from components.swarm.manager import require_manager


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
    manager: bool = True
    os: str = "linux"
    architecture: str = "x86_64"
    """As the engine calls it: `x86_64`, `aarch64`."""
    engine_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels in the daemon's own configuration."""

    @property
    def usable(self) -> bool:
        """Swarm would start a task here."""
        return self.state == "ready" and self.availability == "active"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that services could be on, or that has the name of one."""

    name: str
    driver: str
    scope: str
    id: str = ""
    encrypted: bool = False
    """Its traffic between nodes is encrypted (IPsec)."""
    gateways: tuple[str, ...] = ()
    """Addresses of the engine's machine on it."""


@dataclass(frozen=True, kw_only=True)
class UndoneUpdate:
    """State that Swarm has brought a service back to, whose last update failed."""

    spec: Mapping[str, Any]
    """Its specification, as the engine has it."""
    version: int
    """Of the service; it grows with each change."""


@dataclass(frozen=True, kw_only=True)
class RunningService:
    """A service of the swarm, this stack's or another's."""

    name: str
    id: str = ""
    image: str = ""
    """With the digest that Swarm has added; empty where the tasks are no containers."""
    labels: Mapping[str, str] = field(default_factory=dict)
    undone: UndoneUpdate | None = None
    """None unless its last update was rolled back, or is being so."""
    volumes: frozenset[str] = frozenset()
    """Names of the volumes that its tasks mount."""
    host_ports: frozenset[int] = frozenset()
    """TCP ports that each task has on its node."""
    mesh_ports: frozenset[int] = frozenset()
    """TCP ports that it has on every node (routing mesh)."""
    args: tuple[str, ...] = ()
    """Arguments of its command."""


@dataclass(frozen=True, kw_only=True)
class Swarm:
    """One look at a swarm through one of its managers."""

    engine: Engine
    """The manager's."""
    node_id: str
    """Node of that engine."""
    nodes: tuple[Node, ...]
    cluster_id: str = ""
    """The swarm's own; one that is made anew has another."""
    networks: Mapping[str, Network] = field(default_factory=dict)
    services: Mapping[str, RunningService] = field(default_factory=dict)
    """All services of the swarm by name, also those of other stacks."""
    closed_sockets: tuple[str, ...] = ()
    """Reasons why containers on the engine's node can't open Docker's socket."""

    def require_network(self, name: str, created_here: bool) -> None:
        """Raise `NetworkError` unless services can use the network, or it will be made here."""
        if name in self.networks:
            _require_overlay(self.networks[name])
        elif not created_here:
            raise NetworkMissingError(network=name)

    def further_networks(self, names: Sequence[str]) -> list[str]:
        """Return the full ids of networks that are joined; `NetworkError` unless services can."""
        for index, name in enumerate(names):
            if name not in self.networks:
                raise NetworkMissingError(network=name, index=index)
            _require_overlay(self.networks[name], index)
        return [self.networks[name].id for name in names]

    def require_encrypted(
        self, network: str, internal: Mapping[str, str]
    ) -> list[NetworkNotEncryptedError]:
        """Return warnings; raise `NetworkNotEncryptedError` unless all networks are, or get, so.

        `internal` has the networks that the stack's services have among themselves, each with the
        service that it leads to. A stack that was deployed when these were never encrypted gets a
        warning.
        """
        public = self.networks.get(network)
        if public and not public.encrypted:
            raise NetworkNotEncryptedError(network=network)
        errors = [
            NetworkNotEncryptedError(network=name, service=service)
            for name, service in internal.items()
            if name in self.networks and not self.networks[name].encrypted
        ]
        if errors and public is None:
            raise errors[0]
        return errors


def _require_overlay(network: Network, index: int | None = None) -> None:
    if network.driver != "overlay" or network.scope != "swarm":
        raise NotAnOverlayError(
            network=network.name, index=index, driver=network.driver, scope=network.scope
        )


def inspect_swarm(engine: Engine) -> Swarm:
    """Return the swarm behind the engine; `EngineError` unless that is one of its managers."""
    with connected(engine) as client:
        info = client.info()
        about, security = info["Swarm"], info.get("SecurityOptions") or []
        require_manager(engine.host, about, security)
        return Swarm(
            engine=engine,
            node_id=about["NodeID"],
            cluster_id=about["Cluster"]["ID"],
            nodes=tuple(read_node(raw) for raw in client.nodes()),
            networks={raw["Name"]: _network(raw) for raw in client.networks()},
            services={raw["Spec"]["Name"]: _service(raw) for raw in client.services()},
            closed_sockets=tuple(closed_sockets(security)),
        )


def read_node(raw: Mapping[str, Any]) -> Node:
    """Return a node, from the form that the engine lists it in."""
    return Node(
        id=raw["ID"],
        name=raw["Description"]["Hostname"],
        state=raw["Status"]["State"],
        availability=raw["Spec"]["Availability"],
        labels=raw["Spec"].get("Labels") or {},
        manager=raw["Spec"]["Role"] == "manager",
        os=(raw["Description"].get("Platform") or {}).get("OS", ""),
        architecture=(raw["Description"].get("Platform") or {}).get("Architecture", ""),
        engine_labels=(raw["Description"].get("Engine") or {}).get("Labels") or {},
    )


def _network(raw: Mapping[str, Any]) -> Network:
    return Network(
        name=raw["Name"],
        driver=raw["Driver"],
        scope=raw["Scope"],
        id=raw["Id"],
        encrypted="encrypted" in (raw.get("Options") or {}),
        gateways=tuple(
            each["Gateway"]
            for each in (raw.get("IPAM") or {}).get("Config") or []
            if each.get("Gateway")
        ),
    )


def _service(raw: Mapping[str, Any]) -> RunningService:
    container = raw["Spec"]["TaskTemplate"].get("ContainerSpec") or {}
    state = (raw.get("UpdateStatus") or {}).get("State", "")
    published = [
        port for port in raw.get("Endpoint", {}).get("Ports") or [] if port["Protocol"] == "tcp"
    ]

    def ports(mode: str) -> frozenset[int]:
        numbers = {
            port.get("PublishedPort", 0) for port in published if port["PublishMode"] == mode
        }
        return frozenset(numbers - {0})

    return RunningService(
        name=raw["Spec"]["Name"],
        id=raw["ID"],
        image=container.get("Image", ""),
        labels=raw["Spec"].get("Labels") or {},
        undone=(
            UndoneUpdate(spec=raw["Spec"], version=raw["Version"]["Index"])
            if state.startswith("rollback") and container
            else None
        ),
        volumes=frozenset(
            mount.get("Source", "")
            for mount in container.get("Mounts") or []
            if mount["Type"] == "volume"
        ),
        host_ports=ports("host"),
        mesh_ports=ports("ingress"),
        args=tuple(container.get("Args") or ()),
    )


def holds(labels: Mapping[str, str], label: str) -> bool:
    """Return whether a node with these labels is one where `label` is true.

    Swarm compares the values of constraints without regard to case, so `True` counts.
    """
    return labels.get(label, "").lower() == "true"
