"""Traefik, routing what carries its constraint label."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.stack import namespace_labels, service_labels
from components.task import (
    always_restart,
    json_file_log,
    probe,
    roll_back,
    update,
)

UI_PORT = 8080
"""Traefik's own entry point for its API and UI, inside the task."""
PING_PORT = 8082
"""For the health check alone, inside the task."""


@dataclass(frozen=True, kw_only=True)
class ProxyArgs:
    """What a Traefik is told."""

    stack_name: str
    """Swarm stack that the proxy belongs to."""
    image: pulumi.Input[str]
    network: str
    """Name of the overlay network that the services are on."""
    network_id: pulumi.Input[str]
    """The same network's full id."""
    constraint_label: str
    """Key of the service label to filter by."""
    constraint_value: str
    """Only services that have this value under `constraint_label` are routed."""
    entry_point: str = "http"
    """Name of the entry point for plain HTTP."""
    http_port: int = 80
    """Port on the proxy's node."""
    ui_port: int | None = None
    """Port of the UI on the proxy's node, open to all; None for no UI."""
    log_mib: int = 10
    log_files: int = 3


class Proxy(pulumi.ComponentResource):
    """One Traefik on a manager, its ports bound on that node itself.

    Host mode needs no routing mesh and keeps the clients' addresses, which the mesh hides.
    """

    service: docker.Service
    """The Swarm service."""
    task: docker.ServiceTaskSpecArgs
    """What its tasks are told."""

    def __init__(
        self, name: str, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Proxy", name, None, opts)
        labels = namespace_labels(args.stack_name) | {"traefik.enable": "false"}
        self.task = docker.ServiceTaskSpecArgs(
            container_spec=docker.ServiceTaskSpecContainerSpecArgs(
                image=args.image,
                args=_flags(args),
                mounts=[
                    docker.ServiceTaskSpecContainerSpecMountArgs(
                        type="bind",
                        source="/var/run/docker.sock",
                        target="/var/run/docker.sock",
                        read_only=True,
                    )
                ],
                healthcheck=probe(f"http://127.0.0.1:{PING_PORT}/ping"),
                read_only=True,
                # Longer than Traefik's own grace time for requests under way, 10 s.
                stop_grace_period="30s",
            ),
            networks_advanceds=[docker.ServiceTaskSpecNetworksAdvancedArgs(id=args.network_id)],
            # Only a manager's engine tells Traefik of services.
            placement=docker.ServiceTaskSpecPlacementArgs(constraints=["node.role == manager"]),
            restart_policy=always_restart(),
            log_driver=json_file_log(args.log_mib, args.log_files),
        )
        self.service = docker.Service(
            f"{name}-traefik",
            name=f"{args.stack_name}_proxy",
            labels=service_labels(labels),
            task_spec=self.task,
            mode=docker.ServiceModeArgs(replicated=docker.ServiceModeReplicatedArgs(replicas=1)),
            endpoint_spec=docker.ServiceEndpointSpecArgs(mode="dnsrr", ports=_ports(args)),
            # A second task couldn't bind the ports that the first still has.
            update_config=update("stop-first"),
            rollback_config=roll_back("stop-first"),
            opts=pulumi.ResourceOptions(
                parent=self, ignore_changes=["taskSpec.placement.platforms"]
            ),
        )
        self.register_outputs({})


def _flags(args: ProxyArgs) -> list[str]:
    """Traefik's static configuration."""
    point = args.entry_point
    flags = [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
        # Request headers, and so credentials, stay out of it by default.
        "--accesslog=true",
        "--providers.swarm=true",
        "--providers.swarm.endpoint=unix:///var/run/docker.sock",
        "--providers.swarm.exposedbydefault=false",
        f"--providers.swarm.network={args.network}",
        "--providers.swarm.constraints="
        f"Label(`{args.constraint_label}`, `{args.constraint_value}`)",
        # The default, 15 s, is how long requests would go to a task that an update has ended.
        "--providers.swarm.refreshseconds=1s",
        f"--entrypoints.{point}.address=:80",
        # 0 = no limit. The default, 60 s, holds for a whole request body: it cuts off long pushes.
        f"--entrypoints.{point}.transport.respondingtimeouts.readtimeout=0s",
        f"--entrypoints.ping.address=127.0.0.1:{PING_PORT}",
        "--ping.entrypoint=ping",
    ]
    if args.ui_port is not None:
        flags.append("--api.insecure=true")
    return flags


def _ports(args: ProxyArgs) -> list[docker.ServiceEndpointSpecPortArgs]:
    published = {80: args.http_port}
    if args.ui_port is not None:
        published[UI_PORT] = args.ui_port
    return [
        docker.ServiceEndpointSpecPortArgs(
            target_port=target, published_port=port, publish_mode="host", protocol="tcp"
        )
        for target, port in published.items()
    ]
