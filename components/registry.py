"""The registry service."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.redis import Redis
from components.registry_config import (
    AUTHORITIES,
    CONFIG_PATH,
    DATA_PATH,
    DRAIN_SECONDS,
    HTPASSWD_PATH,
    PORT,
    UPSTREAM_FOLDER,
    Options,
    Secrets,
    Upstream,
    document,
)
from components.route import Route
from components.stack import namespace_labels, service_labels, swarm_secret
from components.task import (
    always_restart,
    json_file_log,
    limits,
    probe,
    roll_back,
    secret_file,
    update,
    volume_mount,
)


@dataclass(frozen=True, kw_only=True)
class Mount:
    """The volume that holds the images."""

    volume: str
    """Its name in Docker."""
    driver: str | None = None
    """Volume driver; None for the engine's own."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The driver's options."""

    def told(self, stack_name: str) -> docker.ServiceTaskSpecContainerSpecMountArgs:
        """As the service of `stack_name` is told."""
        return volume_mount(stack_name, self.volume, DATA_PATH, self.driver, self.options)


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """What a registry is told."""

    stack_name: str
    """Swarm stack that the registry belongs to."""
    service: str = "registry"
    """Its service is `<stack_name>_<service>`."""
    image: pulumi.Input[str]
    route: Route
    network_id: pulumi.Input[str]
    """Full id of the overlay network that Traefik is on."""
    htpasswd: docker.Secret | None
    """bcrypt login lines; None where Traefik asks for the login, or nobody does."""
    upstream: Upstream | None = None
    """Makes it a pull-through cache of that registry."""
    mount: Mount | None = None
    """Where the images are; None when `config` names an object store."""
    authorities: str | None = None
    """PEM: authorities of an object store's or an upstream's certificate, besides those that the
    image trusts."""
    replicas: int = 1
    """Tasks; more than one need an object store, or a volume that every node sees."""
    spread: str | None = None
    """Node label over whose values the tasks are spread; None: over nodes."""
    redis: Redis | None = None
    """What all tasks share; None: each remembers blob descriptors by itself."""
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
    adopt: str | None = None
    """Id of a running service to take as it is; the next deployment without it changes that."""


class Registry(pulumi.ComponentResource):
    """A private registry behind Traefik, with its login and its configuration as secrets; or, with
    an `upstream`, a cache of another registry."""

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
        redis = args.redis
        options = Options(
            login=args.htpasswd is not None,
            https=args.route.https is not None,
            upstream=args.upstream,
            redis=redis.address if redis else None,
        )
        # JSON is YAML, and the registry reads YAML.
        text = pulumi.Output.all(http_secret, redis.password if redis else None).apply(
            lambda both: json.dumps(
                document(args.config, Secrets(http=both[0], redis=both[1]), options), indent=2
            )
        )
        config = swarm_secret(f"{name}-config", args.stack_name, text, child)
        files = [secret_file(CONFIG_PATH, config)]
        if args.htpasswd:
            files.append(secret_file(HTPASSWD_PATH, args.htpasswd))
        command = None
        if args.authorities:
            trusted = swarm_secret(f"{name}-authorities", args.stack_name, args.authorities, child)
            files.append(secret_file(f"{AUTHORITIES}/further.pem", trusted))
            # Go reads this folder besides its file of authorities. Not in the task's `env`: see
            # below.
            variable = f"SSL_CERT_DIR={AUTHORITIES}"
            command = ["/usr/bin/env", variable, "/entrypoint.sh", CONFIG_PATH]
        if args.upstream:
            answer = swarm_secret(f"{name}-upstream", args.stack_name, args.upstream.login(), child)
            files.append(secret_file(f"{UPSTREAM_FOLDER}/get", answer))
        networks = [args.network_id, *([redis.network_id] if redis else [])]
        self.task = docker.ServiceTaskSpecArgs(
            container_spec=docker.ServiceTaskSpecContainerSpecArgs(
                image=args.image,
                # Registry 3 sends traces to localhost unless told not to. The one variable:
                # the provider sends several in random order, which restarts tasks.
                env={"OTEL_TRACES_EXPORTER": "none"},
                commands=command,
                dir=UPSTREAM_FOLDER if args.upstream else None,
                secrets=files,
                mounts=[args.mount.told(args.stack_name)] if args.mount else [],
                # `/` needs no login, and fails while the storage can't be reached.
                healthcheck=probe(f"http://127.0.0.1:{PORT}/"),
                read_only=True,
                # Uploads that a stopping registry still drains must not be killed.
                stop_grace_period=_minutes(DRAIN_SECONDS + 15),
            ),
            networks_advanceds=[
                docker.ServiceTaskSpecNetworksAdvancedArgs(id=network) for network in networks
            ],
            placement=docker.ServiceTaskSpecPlacementArgs(
                constraints=list(args.constraints), prefs=[args.spread] if args.spread else None
            ),
            resources=limits(args.memory_mib, args.cpus),
            restart_policy=always_restart(),
            log_driver=json_file_log(args.log_mib, args.log_files),
        )
        self.service = docker.Service(
            f"{name}-service",
            name=f"{args.stack_name}_{args.service}",
            labels=service_labels(namespace_labels(args.stack_name) | args.route.labels(PORT)),
            task_spec=self.task,
            mode=docker.ServiceModeArgs(
                replicated=docker.ServiceModeReplicatedArgs(replicas=args.replicas)
            ),
            endpoint_spec=docker.ServiceEndpointSpecArgs(mode="dnsrr"),
            # Two registries on one volume get on: state is in files and signed with one secret.
            # So the new one takes over when it is healthy, and no request finds nobody.
            update_config=update("start-first"),
            rollback_config=roll_back("start-first"),
            opts=pulumi.ResourceOptions(
                parent=self,
                import_=args.adopt,
                # An import must find what it is told: so it is told whatever is there.
                ignore_changes=_EVERYTHING if args.adopt else ["taskSpec.placement.platforms"],
            ),
        )
        self.register_outputs({})


_EVERYTHING = [
    *("auth", "convergeConfig", "endpointSpec", "labels", "mode", "name", "rollbackConfig"),
    *("taskSpec", "updateConfig"),
]
"""A service's inputs."""


def _minutes(seconds: int) -> str:
    """`seconds` (60 or more) in the form in which Docker prints a duration."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s"
