"""Docker's socket at arm's length: what Traefik may ask of a manager's engine, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.files import configuration
from components.swarm.overlay import overlay
from components.swarm.service import SwarmService, service_name, swarm_service
from components.swarm.stack import SwarmStack
from components.swarm.task import (
    always_restart,
    json_file_log,
    limits,
    probe,
    secret_file,
)

HAPROXY_IMAGE = "haproxy:3.2-alpine"
"""Docker Hub's official image, with long-term support."""
PORT = 2375
CONFIG_PATH = "/usr/local/etc/haproxy/haproxy.cfg"
"""File in which the official image of HAProxy looks."""
MEMORY_MIB = 64
SOCKET_PATH = "/var/run/docker.sock"
"""Docker's socket, in a task and, unless a setting says otherwise, on its node."""
CONFIG = configuration("haproxy.cfg")
"""HAProxy's rules for Traefik's requests to a manager's engine, at PORT; the engine is at
SOCKET_PATH."""


@dataclass(frozen=True, kw_only=True)
class SocketProxyOptions:
    """Options of a socket proxy."""

    image: str = HAPROXY_IMAGE
    """HAProxy."""
    socket_path: str = SOCKET_PATH
    """Docker's socket on the managers."""


@dataclass(frozen=True, kw_only=True)
class SocketProxyArgs:
    """Arguments of `SocketProxy`."""

    stack: SwarmStack
    options: SocketProxyOptions = SocketProxyOptions()


class SocketProxy(pulumi.ComponentResource):
    """HAProxy before a manager's Docker socket, on a network that only Traefik joins."""

    address: str
    """Address at which Traefik finds the engine."""
    network_id: pulumi.Output[str]
    """The network that it is on; internal, so nothing on it reaches the world."""
    service: SwarmService
    """The Swarm service."""

    def __init__(
        self, name: str, args: SocketProxyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:SocketProxy", name, None, opts)
        service = service_name(args.stack.name, "socket_proxy")
        self.address = f"tcp://{service}:{PORT}"
        self.network_id = overlay(
            f"{name}-network",
            service,
            args.stack,
            self,
            internal=True,
            encrypted=args.stack.encrypted,
        ).id
        child = pulumi.ResourceOptions(parent=self)
        config = args.stack.secret(f"{name}-config", CONFIG, child)
        task = docker.ServiceTaskSpecArgs(
            container_spec=docker.ServiceTaskSpecContainerSpecArgs(
                image=args.options.image,
                # The image's own user may not open the socket.
                user="0",
                secrets=[secret_file(CONFIG_PATH, config)],
                mounts=[socket_mount(args.options.socket_path)],
                healthcheck=probe(f"http://127.0.0.1:{PORT}/_ping"),
                read_only=True,
                # HAProxy takes another signal for an orderly end; nothing here is worth one.
                stop_grace_period="5s",
            ),
            networks_advanceds=[docker.ServiceTaskSpecNetworksAdvancedArgs(id=self.network_id)],
            placement=docker.ServiceTaskSpecPlacementArgs(constraints=["node.role == manager"]),
            resources=limits(MEMORY_MIB, None),
            restart_policy=always_restart(),
            log_driver=json_file_log(args.stack.logs),
        )
        self.service = swarm_service(
            f"{name}-haproxy",
            stack=args.stack,
            service="socket_proxy",
            task=task,
            order="start-first",
            opts=child,
        )
        self.register_outputs({"networkId": self.network_id})


def socket_mount(path: str) -> docker.ServiceTaskSpecContainerSpecMountArgs:
    """Return the mount by which a task finds the socket at `path` of its node at SOCKET_PATH."""
    return docker.ServiceTaskSpecContainerSpecMountArgs(
        type="bind",
        source=path,
        target=SOCKET_PATH,
        read_only=True,
    )
