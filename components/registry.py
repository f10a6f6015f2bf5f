"""The registry service."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.registry_config import (
    CONFIG_PATH,
    DATA_PATH,
    DRAIN_SECONDS,
    HTPASSWD_PATH,
    PORT,
    document,
)
from components.stack import NAMESPACE, namespace_labels, secret_labels, service_labels
from components.task import always_restart, json_file_log, probe, roll_back, update


@dataclass(frozen=True, kw_only=True)
class Mount:
    """The volume that holds the images."""

    volume: str
    """Its name in Docker."""
    driver: str | None = None
    """Volume driver; None for the engine's own."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The driver's options."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """How Traefik finds the registry."""

    domain: str
    """Public host name, no scheme."""
    tag: str
    """Names router and service in Traefik; unique among the stacks of a swarm."""
    network: str
    """Overlay network that Traefik reaches the registry through."""
    constraint_label: str
    """Key of the label that Traefik filters services by."""
    constraint_value: str
    entry_point: str = "http"
    middlewares: Sequence[str] = ()
    """Middlewares of the router, in order."""

    def labels(self, port: int) -> dict[str, str]:
        """Service labels for Traefik v3's Swarm provider; the service listens on `port`."""
        # A dot separates the parts of a label.
        name = re.sub(r"[^A-Za-z0-9-]", "-", self.tag)
        router = f"traefik.http.routers.{name}-http"
        labels = {
            "traefik.enable": "true",
            "traefik.swarm.network": self.network,
            self.constraint_label: self.constraint_value,
            f"{router}.rule": f"Host(`{self.domain}`)",
            f"{router}.entrypoints": self.entry_point,
            f"{router}.service": name,
            f"traefik.http.services.{name}.loadbalancer.server.port": str(port),
        }
        if self.middlewares:
            labels[f"{router}.middlewares"] = ",".join(self.middlewares)
        return labels


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """What a registry is told."""

    stack_name: str
    """Swarm stack that the registry belongs to."""
    image: pulumi.Input[str]
    route: Route
    network_id: pulumi.Input[str]
    """Full id of the overlay network that Traefik is on."""
    htpasswd: docker.Secret
    """bcrypt login lines."""
    mount: Mount | None = None
    """Where the images are; None when `config` names an object store."""
    constraints: Sequence[pulumi.Input[str]] = ()
    """Placement constraints; all must hold."""
    memory_mib: int = 512
    """Hard limit of one task, MiB."""
    cpus: float | None = None
    """Limit of one task, cores; None for no limit."""
    log_mib: int = 10
    log_files: int = 3
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Keys of the registry's configuration, merged over the component's."""


class Registry(pulumi.ComponentResource):
    """A private registry behind Traefik, with its login and its configuration as secrets."""

    service: docker.Service
    """The Swarm service."""
    task: docker.ServiceTaskSpecArgs
    """What its tasks are told."""

    def __init__(
        self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Registry", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Signs the state of uploads: one that changed would break the uploads under way.
        http_secret = random.RandomBytes(f"{name}-http-secret", length=32, opts=child).base64
        # A secret rather than a Swarm config: it holds the above, and maybe keys of a store.
        # No `name=`: a Swarm secret can't be changed, so a new text needs a fresh name.
        config = docker.Secret(
            f"{name}-config",
            data=http_secret.apply(lambda secret: _encoded(document(args.config, secret))),
            labels=secret_labels(args.stack_name),
            opts=child,
        )
        self.task = docker.ServiceTaskSpecArgs(
            container_spec=docker.ServiceTaskSpecContainerSpecArgs(
                image=args.image,
                # Registry 3 sends traces to localhost unless told not to. The one variable:
                # the provider sends several in random order, which restarts tasks.
                env={"OTEL_TRACES_EXPORTER": "none"},
                secrets=[
                    _file(CONFIG_PATH, config),
                    _file(HTPASSWD_PATH, args.htpasswd),
                ],
                mounts=_mounts(args),
                # `/` needs no login, and fails while the storage can't be reached.
                healthcheck=probe(f"http://127.0.0.1:{PORT}/"),
                read_only=True,
                # Uploads that a stopping registry still drains must not be killed.
                stop_grace_period=_minutes(DRAIN_SECONDS + 15),
            ),
            networks_advanceds=[docker.ServiceTaskSpecNetworksAdvancedArgs(id=args.network_id)],
            placement=docker.ServiceTaskSpecPlacementArgs(constraints=list(args.constraints)),
            resources=docker.ServiceTaskSpecResourcesArgs(
                limits=docker.ServiceTaskSpecResourcesLimitsArgs(
                    memory_bytes=args.memory_mib * 1024 * 1024,
                    nano_cpus=None if args.cpus is None else round(args.cpus * 10**9),
                )
            ),
            restart_policy=always_restart(),
            log_driver=json_file_log(args.log_mib, args.log_files),
        )
        self.service = docker.Service(
            f"{name}-service",
            name=f"{args.stack_name}_registry",
            labels=service_labels(namespace_labels(args.stack_name) | args.route.labels(PORT)),
            task_spec=self.task,
            mode=docker.ServiceModeArgs(replicated=docker.ServiceModeReplicatedArgs(replicas=1)),
            endpoint_spec=docker.ServiceEndpointSpecArgs(mode="dnsrr"),
            # Two registries on one volume get on: state is in files and signed with one secret.
            # So the new one takes over when it is healthy, and no request finds nobody.
            update_config=update("start-first"),
            rollback_config=roll_back("start-first"),
            opts=pulumi.ResourceOptions(
                parent=self, ignore_changes=["taskSpec.placement.platforms"]
            ),
        )
        self.register_outputs({})


def _encoded(content: dict[str, Any]) -> str:
    # JSON is YAML, and the registry reads YAML.
    return base64.b64encode(json.dumps(content, indent=2).encode()).decode()


def _file(path: str, secret: docker.Secret) -> docker.ServiceTaskSpecContainerSpecSecretArgs:
    return docker.ServiceTaskSpecContainerSpecSecretArgs(
        file_name=path,
        secret_id=secret.id,
        secret_name=secret.name,
        file_uid="0",
        file_gid="0",
        file_mode=0o400,
    )


def _mounts(args: RegistryArgs) -> list[docker.ServiceTaskSpecContainerSpecMountArgs]:
    if args.mount is None:
        return []
    return [
        docker.ServiceTaskSpecContainerSpecMountArgs(
            type="volume",
            source=args.mount.volume,
            target=DATA_PATH,
            volume_options=docker.ServiceTaskSpecContainerSpecMountVolumeOptionsArgs(
                driver_name=args.mount.driver,
                driver_options=dict(args.mount.options) or None,
                labels=[
                    docker.ServiceTaskSpecContainerSpecMountVolumeOptionsLabelArgs(
                        label=NAMESPACE, value=args.stack_name
                    )
                ],
            ),
        )
    ]


def _minutes(seconds: int) -> str:
    """`seconds` (60 or more) in the form in which Docker prints a duration."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s"
