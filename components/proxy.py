"""Traefik, routing what carries its constraint label."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pulumi
import pulumi_docker as docker

from components.distribution.config import HSTS_SECONDS
from components.socket_proxy import SOCKET_PATH, SocketProxy, socket_mount
from components.swarm.service import SwarmService, swarm_service
from components.swarm.stack import MAX_SECRET_NAME, namespace_labels, swarm_secret
from components.swarm.task import (
    always_restart,
    json_file_log,
    limits,
    probe,
    secret_file,
)
from components.traefik import flags as proxy_config
from components.traefik.flags import (
    HTTP_PORT,
    HTTPS_PORT,
    PING_PORT,
    REGISTRY_PATH,
    SOCKET,
    UI_PORT,
    Acme,
)
from components.traefik.route import Https, Route, label_name

SECRET_PREFIX = "secret"  # noqa: S105 - of a name
MAX_PROXY_SECRET = MAX_SECRET_NAME - len(f"proxy-{SECRET_PREFIX}-")
"""Characters of a variable's name: Swarm's limit for a secret's name, less what comes with it."""
USERS_PATH = "/run/secrets/dashboard-users"
GO_MEMORY = 0.75
"""Part of a task's memory that Go may use, stacks included, before it collects its garbage more
often; the rest is for the kernel's share of connections."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate that was obtained elsewhere, as PEM texts."""

    chain: str
    """The certificate, then its intermediates."""
    key: pulumi.Input[str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """Traefik's own pages, behind a login."""

    route: Route
    users: docker.Secret
    """htpasswd lines."""


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
    trusted_proxies: Sequence[str] = ()
    """Addresses and networks (CIDR) of proxies in front, whose `X-Forwarded-…` headers hold."""
    registries_only: bool = False
    """Nothing else is served, so the default TLS options are those of registries."""
    https: Https | None = None
    """None: no port for HTTPS."""
    https_port: int = 443
    """Port on the proxy's node."""
    acme: Acme | None = None
    mounts: Sequence[docker.ServiceTaskSpecContainerSpecMountArgs] = ()
    """Where the certificates are that `acme` obtains, at STORAGE_PATH; needed with it."""
    certificate: Certificate | None = None
    dashboard: Dashboard | None = None
    ui_port: int | None = None
    """Port of the UI on the proxy's node, open to all; None for no UI."""
    socket_proxy: SocketProxy | None = None
    """None: Docker's socket is mounted, read-only."""
    socket_path: str = SOCKET_PATH
    """Docker's socket on the managers."""
    metrics: bool = False
    """Prometheus metrics for services on the network, on port 8083."""
    mode: Literal["replicated", "global"] = "replicated"
    """One task, or one on every manager. `acme` goes with one only: its file can't be shared."""
    constraints: Sequence[pulumi.Input[str]] = ()
    """Placement constraints besides `node.role == manager`."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Any option of Traefik's static configuration, over the component's own."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict, repr=False)
    """Environment variables by name, whose values Traefik reads from files (`NAME_FILE`)."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that everybody may see."""
    memory_mib: int = 512
    """Hard limit of one task, MiB; 1 024 clients at once take about 200."""
    secret_prefix: str = ""
    """What the names of its Swarm secrets begin with, such as the stack's; none by default."""
    log_mib: int = 10
    log_files: int = 3


class Proxy(pulumi.ComponentResource):
    """Traefik, on managers, on the host's own ports, so that it sees clients' addresses."""

    service: SwarmService
    """The Swarm service."""

    def __init__(
        self, name: str, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Proxy", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def secret(part: str, text: pulumi.Input[str]) -> docker.Secret:
            return swarm_secret(
                f"{name}-{part}", args.stack_name, text, child, prefix=args.secret_prefix
            )

        content = proxy_config.dynamic(
            args.entry_point,
            args.https.entry_point if args.https else None,
            own_certificate=args.certificate is not None,
            registries_only=args.registries_only,
        )
        files = {proxy_config.DYNAMIC_PATH: secret("dynamic", json.dumps(content, indent=2))}
        if args.acme and args.acme.authority:
            files[proxy_config.AUTHORITY_PATH] = secret("acme-ca", args.acme.authority)
        if args.certificate:
            files[proxy_config.CERTIFICATE_PATH] = secret("certificate", args.certificate.chain)
            files[proxy_config.KEY_PATH] = secret("certificate-key", args.certificate.key)
        if args.dashboard:
            files[USERS_PATH] = args.dashboard.users
        for variable, value in args.secrets.items():
            part = f"{SECRET_PREFIX}-{variable.lower().replace('_', '-')}"
            files[f"/run/secrets/{variable}"] = secret(part, value)

        options = proxy_config.options(
            endpoint=args.socket_proxy.address if args.socket_proxy else SOCKET,
            network=args.network,
            constraint=(args.constraint_label, args.constraint_value),
            entry_point=args.entry_point,
            https_entry_point=args.https.entry_point if args.https else None,
            acme=args.acme,
            dashboard=args.dashboard is not None,
            ui=args.ui_port is not None,
            metrics=args.metrics,
            trusted_proxies=args.trusted_proxies,
            config=args.config,
        )
        flags = proxy_config.flags(options)
        if args.acme and args.acme.account:
            # Flags are for all to see, and a file with one option would replace all flags.
            text = json.dumps(proxy_config.file_content(options), indent=2)
            files[proxy_config.STATIC_PATH] = secret("static", text)
            flags = [f"--configfile={proxy_config.STATIC_PATH}"]

        mounts = [*([] if args.socket_proxy else [socket_mount(args.socket_path)]), *args.mounts]
        networks = [args.network_id]
        if args.socket_proxy:
            networks.append(args.socket_proxy.network_id)
        task = docker.ServiceTaskSpecArgs(
            container_spec=docker.ServiceTaskSpecContainerSpecArgs(
                image=args.image,
                commands=_command(args),
                args=flags,
                secrets=[secret_file(path, files[path]) for path in sorted(files)],
                mounts=mounts,
                healthcheck=probe(f"http://127.0.0.1:{PING_PORT}/ping"),
                read_only=True,
                # Longer than Traefik's own grace time for requests under way, 10 s.
                stop_grace_period="30s",
            ),
            networks_advanceds=[
                docker.ServiceTaskSpecNetworksAdvancedArgs(id=network) for network in networks
            ],
            # Only a manager's engine tells Traefik of services.
            placement=docker.ServiceTaskSpecPlacementArgs(
                constraints=["node.role == manager", *args.constraints]
            ),
            resources=limits(args.memory_mib, None),
            restart_policy=always_restart(),
            log_driver=json_file_log(args.log_mib, args.log_files),
        )
        self.service = swarm_service(
            f"{name}-traefik",
            stack_name=args.stack_name,
            service="proxy",
            labels=_labels(args),
            task=task,
            replicas=None if args.mode == "global" else 1,
            ports=_ports(args),
            # A second task couldn't bind the ports that the first still has.
            order="stop-first",
            opts=pulumi.ResourceOptions(
                parent=self,
                # Swarm can't turn one into the other, which the provider doesn't know.
                replace_on_changes=["mode.global"],
                delete_before_replace=True,
            ),
        )
        self.register_outputs({})


def _labels(args: ProxyArgs) -> dict[str, str]:
    """Labels of Traefik's own service, which it reads as those of any other."""
    labels = namespace_labels(args.stack_name)
    if args.dashboard:
        labels |= _dashboard_labels(args.dashboard)
    if args.https:
        labels |= _redirect_labels(args, args.https)
    return labels if args.dashboard or args.https else labels | {"traefik.enable": "false"}


def _redirect_labels(args: ProxyArgs, https: Https) -> dict[str, str]:
    """The middleware that sends plain HTTP to HTTPS, for every service that names it.

    It is on Traefik's own service: Traefik forgets the labels of a service whose tasks don't run.
    """
    name = label_name(f"{args.stack_name}-redirect")
    router = f"traefik.http.routers.{name}"
    return {
        "traefik.enable": "true",
        args.constraint_label: args.constraint_value,
        **https.redirect_labels(args.https_port),
        # Without a router Traefik would make one for the service's name. This one sends to HTTPS
        # while there is no other, before the file's own answers 503.
        f"{router}.rule": f"PathPrefix(`{REGISTRY_PATH}`)",
        f"{router}.priority": "2",
        f"{router}.entrypoints": args.entry_point,
        f"{router}.middlewares": https.redirect,
        f"{router}.service": name,
        f"traefik.http.services.{name}.loadbalancer.server.port": str(HTTP_PORT),
    }


def _dashboard_labels(dashboard: Dashboard) -> dict[str, str]:
    """The route, with headers first and the login after the route's own middlewares."""
    name = dashboard.route.name
    login, headers = f"{name}-auth", f"{name}-headers"
    middleware = "traefik.http.middlewares"
    route = replace(dashboard.route, middlewares=(headers, *dashboard.route.middlewares, login))
    return route.labels(UI_PORT, service="api@internal") | {
        f"{middleware}.{login}.basicauth.usersfile": USERS_PATH,
        f"{middleware}.{headers}.headers.stsseconds": str(HSTS_SECONDS),
        f"{middleware}.{headers}.headers.contenttypenosniff": "true",
        f"{middleware}.{headers}.headers.framedeny": "true",
        f"{middleware}.{headers}.headers.referrerpolicy": "same-origin",
    }


def _command(args: ProxyArgs) -> list[str]:
    """The image's entry point, in its environment.

    Not the task's own `env`: the provider sends that in random order, which restarts tasks.
    """
    # Go's own limit: else what many clients at once leave behind ends the task at the hard one.
    variables = {"GOMEMLIMIT": f"{round(args.memory_mib * GO_MEMORY)}MiB", **args.environment}
    variables |= {f"{name}_FILE": f"/run/secrets/{name}" for name in args.secrets}
    pairs = [f"{name}={value}" for name, value in sorted(variables.items())]
    return ["/usr/bin/env", *pairs, "/entrypoint.sh"]


def _ports(args: ProxyArgs) -> list[docker.ServiceEndpointSpecPortArgs]:
    published = {HTTP_PORT: args.http_port}
    if args.https:
        published[HTTPS_PORT] = args.https_port
    if args.ui_port is not None:
        published[UI_PORT] = args.ui_port
    return [
        docker.ServiceEndpointSpecPortArgs(
            target_port=target, published_port=port, publish_mode="host", protocol="tcp"
        )
        for target, port in published.items()
    ]
