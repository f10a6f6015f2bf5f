"""Traefik, routing what carries its constraint label."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pulumi
import pulumi_docker as docker

from components.files import script
from components.socket_proxy import SOCKET_PATH, SocketProxy, socket_mount
from components.swarm.pull_login import is_version_of
from components.swarm.service import SwarmService, swarm_service
from components.swarm.stack import MAX_SECRET_NAME, SwarmStack, namespace_labels
from components.swarm.task import (
    MountedData,
    always_restart,
    go_memory,
    json_file_log,
    limits,
    probe,
    secret_file,
)
from components.traefik import dynamic
from components.traefik import flags as proxy_flags
from components.traefik.dynamic import REGISTRY_PATH
from components.traefik.flags import (
    API_PORT,
    HTTP_PORT,
    HTTPS_PORT,
    PING_PORT,
    SOCKET,
    Acme,
    storage_in_use,
)
from components.traefik.route import USERS_PATH, Https, Route, dashboard_labels, label_name

TRAEFIK_IMAGE = "traefik:v3.7.15"
"""The version that `images/` builds where Docker Hub can't be reached."""
HALF_THE_CORES = script("half-the-cores.sh")
SECRET_PREFIX = "secret"  # noqa: S105 - of a name
MAX_PROXY_SECRET = MAX_SECRET_NAME - len(f"proxy-{SECRET_PREFIX}-")
"""Characters of a variable's name: Swarm's limit for a secret's name, less what comes with it."""


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
class ProxyOptions:
    """Options of a Traefik."""

    image: str = TRAEFIK_IMAGE
    http_port: int = 80
    """Port on the proxy's node, host mode."""
    https_port: int = 443
    """Port on the proxy's node, host mode; where TLS ends in front of Traefik, the port there."""
    trusted_proxies: Sequence[str] = ()
    """Addresses and networks (CIDR) of proxies in front, whose `X-Forwarded-…` headers hold."""
    dashboard_port: int | None = None
    """Port of the dashboard on the proxy's node, without login, for development. Default: none."""
    mode: Literal["replicated", "global"] = "replicated"
    """One task, or one on every manager. `acme` goes with one only: its file can't be shared."""
    acme: Acme | None = None
    certificate: Certificate | None = None
    registries_only: bool = False
    """Nothing else is served, so the default TLS options are those of registries, and their tasks
    are left half of the cores."""
    socket_path: str = SOCKET_PATH
    """Docker's socket on the managers."""
    metrics: bool = False
    """Prometheus metrics for services on the network, on port 8083."""
    memory_mib: int = 512
    """Hard limit of one task, MiB; 1 024 clients at once take about 200."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Any option of Traefik's static configuration, over the component's own."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables whose values Traefik reads from files (`NAME_FILE`), such as a DNS
    API's token."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that everybody may see."""


@dataclass(frozen=True, kw_only=True)
class ProxyArgs:
    """Arguments of `Proxy`."""

    stack: SwarmStack
    options: ProxyOptions = ProxyOptions()
    route: Route
    """A route that it serves: its entry points, its network and its constraint label are those of
    this Traefik."""
    network_id: pulumi.Input[str]
    """Full id of that network."""
    data: MountedData = field(default_factory=MountedData)
    """Mounts with the certificates that `options.acme` obtains, at STORAGE_PATH; needed with it."""
    dashboard: Dashboard | None = None
    socket_proxy: SocketProxy | None = None
    """None: Docker's socket is mounted, read-only."""
    running_flags: Sequence[str] = ()
    """Flags of the Traefik that runs until now: its certificates stay in the file that it has."""


class Proxy(pulumi.ComponentResource):
    """Traefik, on managers, on the host's own ports, so that it sees clients' addresses."""

    service: SwarmService
    """The Swarm service."""

    def __init__(
        self, name: str, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Proxy", name, None, opts)
        options = _options(args)
        files, flags = self._files(name, args, options), proxy_flags.flags(options)
        if proxy_flags.STATIC_PATH in files:
            flags = [f"--configfile={proxy_flags.STATIC_PATH}"]
        self.service = swarm_service(
            f"{name}-traefik",
            stack=args.stack,
            service="proxy",
            labels=_labels(args),
            task=_task(args, flags, files),
            replicas=None if args.options.mode == "global" else 1,
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

    def _files(
        self, name: str, args: ProxyArgs, static: Mapping[str, str]
    ) -> Mapping[str, docker.Secret]:
        """Return secrets by the path that Traefik finds them at."""
        options, https = args.options, args.route.https
        child = pulumi.ResourceOptions(parent=self)

        def secret(part: str, text: pulumi.Input[str]) -> docker.Secret:
            return args.stack.secret(f"{name}-{part}", text, child)

        content = dynamic.content(
            args.route.entry_point,
            https.entry_point if https else None,
            own_certificate=options.certificate is not None,
            registries_only=options.registries_only,
        )
        files = {dynamic.DYNAMIC_PATH: secret("dynamic", json.dumps(content, indent=2))}
        if options.acme and options.acme.ca:
            files[proxy_flags.ACME_CA_PATH] = secret("acme-ca", options.acme.ca)
        if options.certificate:
            files[dynamic.CERTIFICATE_PATH] = secret("certificate", options.certificate.chain)
            files[dynamic.KEY_PATH] = secret("certificate-key", options.certificate.key)
        if args.dashboard:
            files[USERS_PATH] = args.dashboard.users
        for variable, value in options.secrets.items():
            part = f"{SECRET_PREFIX}-{variable.lower().replace('_', '-')}"
            files[f"/run/secrets/{variable}"] = secret(part, value)
        if options.acme and options.acme.account:
            # Flags are for all to see, and a file with one option would replace all flags.
            text = json.dumps(proxy_flags.file_content(static), indent=2)
            files[proxy_flags.STATIC_PATH] = secret("static", text)
        return files


def _options(args: ProxyArgs) -> dict[str, str]:
    """Return Traefik's static options by path."""
    options, route, acme = args.options, args.route, args.options.acme
    static = proxy_flags.options(
        endpoint=args.socket_proxy.address if args.socket_proxy else SOCKET,
        network=route.network,
        constraint=(route.constraint_label, route.constraint_value),
        entry_point=route.entry_point,
        https_entry_point=route.https.entry_point if route.https else None,
        acme=acme and replace(acme, storage=storage_in_use(acme, args.running_flags)),
        dashboard=args.dashboard is not None,
        insecure_api=options.dashboard_port is not None,
        metrics=options.metrics,
        trusted_proxies=options.trusted_proxies,
        config=options.config,
    )
    known = is_version_of(options.image, TRAEFIK_IMAGE)
    return proxy_flags.without_queries(static) if known else static


def _task(
    args: ProxyArgs, flags: Sequence[str], files: Mapping[str, docker.Secret]
) -> docker.ServiceTaskSpecArgs:
    options = args.options
    socket = [] if args.socket_proxy else [socket_mount(options.socket_path)]
    networks = [args.network_id]
    if args.socket_proxy:
        networks.append(args.socket_proxy.network_id)
    return docker.ServiceTaskSpecArgs(
        container_spec=docker.ServiceTaskSpecContainerSpecArgs(
            image=options.image,
            commands=_command(options),
            args=flags,
            secrets=[secret_file(path, files[path]) for path in sorted(files)],
            mounts=[*socket, *args.data.mounts],
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
            constraints=["node.role == manager", *args.data.constraints]
        ),
        resources=limits(options.memory_mib, None),
        restart_policy=always_restart(),
        log_driver=json_file_log(args.stack.logs),
    )


def _labels(args: ProxyArgs) -> dict[str, str]:
    """Return the labels of Traefik's own service, which it reads as those of any other."""
    labels = namespace_labels(args.stack.name)
    if args.dashboard:
        labels |= dashboard_labels(args.dashboard.route)
    if https := args.route.https:
        labels |= _redirect_labels(args, https)
    return labels if args.dashboard or https else labels | {"traefik.enable": "false"}


def _redirect_labels(args: ProxyArgs, https: Https) -> dict[str, str]:
    """Return the middleware that sends plain HTTP to HTTPS, for every service that names it.

    It is on Traefik's own service: Traefik forgets the labels of a service whose tasks don't run.
    """
    name = label_name(f"{args.stack.name}-redirect")
    router = f"traefik.http.routers.{name}"
    return {
        "traefik.enable": "true",
        args.route.constraint_label: args.route.constraint_value,
        **https.redirect_labels(args.options.https_port),
        # Without a router Traefik would make one for the service's name. This one sends to HTTPS
        # while there is no other, before the file's own answers 503.
        f"{router}.rule": f"PathPrefix(`{REGISTRY_PATH}`)",
        f"{router}.priority": "2",
        f"{router}.entrypoints": args.route.entry_point,
        f"{router}.middlewares": https.redirect,
        f"{router}.service": name,
        f"traefik.http.services.{name}.loadbalancer.server.port": str(HTTP_PORT),
    }


def _command(options: ProxyOptions) -> list[str]:
    """Return the image's entry point, in its environment; GOMAXPROCS there holds over half of the
    cores.

    Not the task's own `env`: the provider sends that in random order, which restarts tasks.
    """
    variables = {**go_memory(options.memory_mib), **options.environment}
    variables |= {f"{name}_FILE": f"/run/secrets/{name}" for name in options.secrets}
    pairs = [f"{name}={value}" for name, value in sorted(variables.items())]
    start = ["/bin/sh", "-c", HALF_THE_CORES, "half-the-cores"] if options.registries_only else []
    return [*start, "/usr/bin/env", *pairs, "/entrypoint.sh"]


def _ports(args: ProxyArgs) -> list[docker.ServiceEndpointSpecPortArgs]:
    published = {HTTP_PORT: args.options.http_port}
    if args.route.https:
        published[HTTPS_PORT] = args.options.https_port
    if args.options.dashboard_port is not None:
        published[API_PORT] = args.options.dashboard_port
    return [
        docker.ServiceEndpointSpecPortArgs(
            target_port=target, published_port=port, publish_mode="host", protocol="tcp"
        )
        for target, port in published.items()
    ]
