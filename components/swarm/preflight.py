"""What a deployment needs, looked at before anything is made. Nothing is touched for it.

Ports, images and space are asked for only while they aren't in use yet: a proxy that runs has its
ports.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker.errors

from components.errors import (
    CollisionError,
    HostSharedError,
    HostTakenError,
    ImageMissingError,
    ImageNotBuiltError,
    ImageNotSharedError,
    LittleSpaceError,
    NameTakenError,
    NoNodeError,
    PortTakenError,
    raise_all,
)
from components.swarm import NAMESPACE
from components.swarm.collisions import Collision, Labels, collisions
from components.swarm.engine import Engine, connected
from components.swarm.inspect import Node, RunningService, Swarm
from components.swarm.placement import obstacle

LITTLE_SPACE = 2**30
"""Less free space than this many bytes is worth a warning."""
LISTENS = "0A"
"""State of a socket in /proc/net/tcp."""
TASK_LABEL = "com.docker.swarm.service.name"
"""Label of a container that is a task."""


@dataclass(frozen=True)
class Routed:
    """A service that Traefik shall route to."""

    service: str
    """Its name."""
    labels: Labels
    domain_setting: str
    """The caller's name for what chooses its host."""


@dataclass(frozen=True)
class Ports:
    """Ports that a proxy shall publish on its node."""

    service: str
    """Name of its service."""
    settings: Mapping[int, str]
    """TCP ports, each with the caller's name for what chooses it."""
    nodes: Sequence[Node]
    """Nodes that it may run on."""
    everywhere: bool
    """It shall run on all of them."""


def check_collisions(
    swarm: Swarm,
    routed: Iterable[Routed],
    *,
    stack_name: str,
    volumes: frozenset[str],
    constraint: tuple[str, str],
    redirect: str,
) -> list[CollisionError]:
    """Return warnings; raise when another stack's service has a name or host of ours.

    What is deployed with it already is a warning. A stack that mounts one of `volumes` is this one
    under a former name. `constraint` is the label by which the same Traefik sees a service,
    `redirect` the middleware that several may share.
    """
    services = swarm.services.values()
    former = {each.labels.get(NAMESPACE) for each in services if each.volumes & volumes}
    stacks = {stack_name, *(former - {None})}
    others = [each for each in services if each.labels.get(NAMESPACE) not in stacks]
    warnings, errors = dict[str, CollisionError](), dict[str, CollisionError]()
    for each in routed:
        now = swarm.services.get(each.service)
        deployed = set(collisions(now.labels, constraint, others)) if now else set()
        for collision in collisions(each.labels, constraint, others):
            refused = collision.certain and collision not in deployed
            error = _collision(collision, each, redirect)
            (errors if refused else warnings).setdefault(str(error), error)
    raise_all(list(errors.values()))
    return list(warnings.values())


def _collision(collision: Collision, routed: Routed, redirect: str) -> CollisionError:
    owner, name = _owner(collision.service), collision.name
    if not collision.certain:
        return HostSharedError(owner=owner, host=name, rule=collision.rule)
    if collision.kind == "host":
        return HostTakenError(owner=owner, host=name, setting=routed.domain_setting)
    is_redirect = name == redirect.lower()
    return NameTakenError(owner=owner, kind=collision.kind, name=name, is_redirect=is_redirect)


def _owner(service: RunningService) -> str:
    stack = service.labels.get(NAMESPACE)
    return f"service {service.name}{f' of stack {stack}' if stack else ''}"


def check_ports(swarm: Swarm, ports: Ports) -> None:
    """Raise when nothing is left of the nodes that the proxy could run on."""
    runs = swarm.services.get(ports.service)
    if runs and runs.host_ports >= set(ports.settings):
        return
    usable = [node for node in ports.nodes if node.usable]
    if not usable:
        obstacles = {node.name: f"({node.state}, {node.availability})" for node in ports.nodes}
        raise NoNodeError(subject="Traefik", obstacles=obstacles, kind="manager")
    owners = _port_owners(swarm, ports)
    hindered = {node.id: owners.get(node.id, {}) for node in usable}
    if not all(hindered.values()) and not (ports.everywhere and any(hindered.values())):
        return
    errors = {
        (node.name, port): PortTakenError(
            owner=owner, port=port, node=node.name, setting=ports.settings[port]
        )
        for node in usable
        for port, owner in sorted(hindered[node.id].items())
    }
    raise_all(list(errors.values()))


def check_nodes(swarm: Swarm, service: str, constraints: Sequence[str]) -> None:
    """Raise when no usable node meets the placement constraints of a service."""
    obstacles = {node.name: obstacle(node, constraints) for node in swarm.nodes}
    if all(obstacles.values()):
        raise NoNodeError(subject=service, obstacles=obstacles, constraints=constraints)


def _port_owners(swarm: Swarm, ports: Ports) -> dict[str, dict[int, str]]:
    """Return the owners of the wanted ports that are taken, by node and port."""
    wanted = set(ports.settings)
    owners: dict[str, dict[int, str]] = {node.id: {} for node in swarm.nodes}
    with connected(swarm.engine) as client:
        for service in swarm.services.values():
            if service.name == ports.service:
                continue
            nodes: set[str] = set()
            if service.host_ports & wanted:
                tasks = client.tasks({"service": service.id, "desired-state": "running"})
                nodes = {task["NodeID"] for task in tasks if "NodeID" in task}
            for node, here in owners.items():
                used = service.mesh_ports | (service.host_ports if node in nodes else frozenset())
                here |= dict.fromkeys(used & wanted, _owner(service))
        here = owners.setdefault(swarm.node_id, {})
        published = set[int]()
        for container in client.containers():
            used = frozenset(port.get("PublicPort", 0) for port in container["Ports"])
            published |= used
            # Tasks are counted as their services; one that is being stopped is no hindrance.
            if TASK_LABEL not in container["Labels"]:
                name = container["Names"][0].lstrip("/")
                here |= dict.fromkeys(used & wanted, f"container {name}")
        if is_this_machine(swarm.engine, client.info()["Name"]):
            listening = _listening(wanted - published - here.keys())
            here |= listening
    return owners


def check_images(swarm: Swarm, images: Mapping[str, str]) -> list[ImageMissingError]:
    """Return warnings about `images`, by the caller's names for them, that aren't to be had.

    Raise where the engine that says so is the swarm's only one: elsewhere another node may have it.
    """
    refused, warnings = list[ImageMissingError](), list[ImageMissingError]()
    with connected(swarm.engine) as client:
        for setting, image in images.items():
            with contextlib.suppress(docker.errors.ImageNotFound):
                client.inspect_image(image)
                continue
            error = ImageMissingError(
                image=image, reason="its registry doesn't answer", setting=setting
            )
            try:
                swarm.engine.inspect_distribution(client, image)
            except docker.errors.APIError as answer:
                refused.append(error)
                error.reason = str(answer.explanation)
            except OSError:  # It takes too long: that may be better a moment later.
                warnings.append(error)
    if len(swarm.nodes) == 1:
        raise_all(refused)
    return [*refused, *warnings]


def check_built_image(swarm: Swarm, image: str, setting: str) -> None:
    """Raise where a node couldn't get an image that is built on one engine.

    `setting` is the caller's name for what names another one.
    """
    with connected(swarm.engine) as client:
        require_built_image(client, swarm.engine.host, len(swarm.nodes), image, setting)


def require_built_image(
    client: docker.APIClient, host: str, nodes: int, image: str, setting: str
) -> None:
    """Raise where one of so many nodes couldn't get an image that is built on the engine at `host`.

    `client` is that engine's.
    """
    if nodes > 1:
        raise ImageNotSharedError(image=image, nodes=nodes, setting=setting)
    try:
        client.inspect_image(image)
    except docker.errors.ImageNotFound:
        raise ImageNotBuiltError(image=image, setting=setting, host=host) from None


def check_space(swarm: Swarm) -> list[LittleSpaceError]:
    """Return a warning when the engine is this machine's and has little space."""
    with connected(swarm.engine) as client:
        about = client.info()
    root = Path(about["DockerRootDir"])
    if not is_this_machine(swarm.engine, about["Name"]) or not root.is_dir():
        return []
    disk = os.statvfs(root)
    free = disk.f_bavail * disk.f_frsize
    if free >= LITTLE_SPACE:
        return []
    return [LittleSpaceError(free_mib=free // 2**20, folder=str(root))]


def is_this_machine(engine: Engine, name: str) -> bool:
    """Return whether the engine shares this process' network; `name` is its machine's, it says.

    One in a virtual machine, in a container or in a network namespace has ports of its own.
    """
    if not engine.host.startswith("unix://") or not hasattr(socket, "SO_PEERCRED"):
        return False
    with socket.socket(socket.AF_UNIX) as there:
        there.connect(engine.host.removeprefix("unix://"))
        credentials = there.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, _, _ = struct.unpack("3i", credentials)
    if not pid:  # In another namespace of processes.
        return False
    try:
        return Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
    except PermissionError:
        return name == socket.gethostname()
    except OSError:
        return False


def _listening(ports: set[int]) -> dict[int, str]:
    """Return the programs of this machine that listen at one of `ports`, by port."""
    programs: dict[int, str] = {}
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for columns in map(str.split, lines):
            port = int(columns[1].rpartition(":")[2], 16)
            if port in ports and columns[3] == LISTENS:
                programs[port] = _program(columns[9])
    return programs


def _program(inode: str) -> str:
    """Return name and process id of who has a socket, as far as this user may see it."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) == f"socket:[{inode}]":
                process = descriptor.parents[1]
                name = (process / "comm").read_text().strip()
                return f"{name} (process {process.name}) on this machine"
        except OSError:  # It has ended, or is another user's.
            continue
    return "another program on this machine"
