"""What a stack's settings ask of the swarm, checked before anything is made."""

from __future__ import annotations

from collections.abc import Iterator

from components.distribution.config import PORT
from components.errors import DeploymentError
from components.mirrors import service_of
from components.proxy import ProxyOptions
from components.swarm.inspect import Swarm, holds
from components.swarm.preflight import (
    Ports,
    Routed,
    check_built_image,
    check_collisions,
    check_images,
    check_nodes,
    check_ports,
    check_space,
)
from components.swarm.service import service_name
from components.token_server import server_labels
from components.traefik.flags import API_PORT
from settings.mirrors import admits
from settings.stack import IMAGE_KEYS, Settings

BRIDGE = "docker_gwbridge"
"""Network by which a node's tasks reach the world, and are reached at ports of the node."""


def check_swarm(settings: Settings, swarm: Swarm) -> list[DeploymentError | str]:
    """Return warnings; `RunError` when what the settings ask for couldn't come up."""
    routing = settings.routing
    warnings: list[DeploymentError | str] = []
    warnings += check_collisions(
        swarm,
        _routed(settings),
        stack_name=settings.stack.name,
        volumes=settings.volumes.names,
        constraint=(routing.constraint_label, routing.constraint_value),
        redirect=routing.redirect_middleware,
    )
    warnings += opened_to_ipv6(settings, swarm)
    registry = service_name(settings.stack.name, "registry")
    is_new = registry not in swarm.services
    # Where the images are on one node, their storage looks at that one.
    if not settings.has_node_volume and is_new:
        check_nodes(swarm, registry, settings.registry.constraints)
    if settings.proxy:
        warnings += _check_proxy(settings, settings.proxy, swarm)
    new = {
        IMAGE_KEYS[service]: image
        for service, image in settings.pulled_images.items()
        if service in IMAGE_KEYS
        and service_name(settings.stack.name, service) not in swarm.services
    }
    warnings += check_images(swarm, new)
    tools = settings.token_server or settings.gc or settings.backup
    if tools and settings.tools_image is None:
        check_built_image(swarm, tools.image, "toolsImage")
    return warnings + (check_space(swarm) if is_new else [])


def _routed(settings: Settings) -> Iterator[Routed]:
    """Yield the services that Traefik shall route to."""
    stack_name, routes = settings.stack.name, settings.routes
    registry = service_name(stack_name, "registry")
    yield Routed(registry, routes.registry.labels(PORT), "registry:domain")
    for name, route in routes.mirrors.items():
        setting = f"--path registry:mirrors.{name}.domain"
        yield Routed(service_name(stack_name, service_of(name)), route.labels(PORT), setting)
    if settings.token_server:
        labels = server_labels([*routes.tokens.values()], settings.token_server)
        yield Routed(service_name(stack_name, "token"), labels, "registry:domain")
    proxy = service_name(stack_name, "proxy")
    if dashboard := routes.dashboard:
        labels = dashboard.labels(API_PORT, service="api@internal")
        yield Routed(proxy, labels, "registry:dashboardDomain")
    if settings.proxy and (https := routes.registry.https):
        labels = https.redirect_labels(settings.proxy.https_port)
        yield Routed(proxy, labels, "registry:redirectMiddleware")


def _check_proxy(settings: Settings, proxy: ProxyOptions, swarm: Swarm) -> list[str]:
    """Return warnings; `RunError` when no manager can take Traefik."""
    ports = {proxy.http_port: "proxyHttpPort"}
    if settings.routes.registry.https:
        ports[proxy.https_port] = "proxyHttpsPort"
    if proxy.dashboard_port:
        ports[proxy.dashboard_port] = "proxyDashboardPort"
    managers = [node for node in swarm.nodes if node.manager]
    label = f"{settings.stack.name}.certificates"
    bound = [node for node in managers if proxy.acme and holds(node.labels, label)]
    service, everywhere = service_name(settings.stack.name, "proxy"), proxy.mode == "global"
    check_ports(swarm, Ports(service, ports, bound or managers, everywhere=everywhere))
    return [
        f"The Docker engine at {swarm.engine.host} {reason}: a Traefik on such a node would"
        " find no service. Use another engine, or registry:proxy none behind a Traefik"
        for reason in swarm.closed_sockets
    ]


def opened_to_ipv6(settings: Settings, swarm: Swarm) -> list[str]:
    """Return a warning for each mirror whose `allow` has the address of clients over IPv6."""
    bridge = swarm.networks.get(BRIDGE)
    return [
        f"registry:mirrors.{mirror.name}.allow has {address} in it, the address of {BRIDGE}. Docker"
        " relays clients over IPv6, and they have that one: whoever reaches a node over IPv6 is let"
        " in without a login"
        for mirror in settings.mirrors
        for address in (bridge.gateways if bridge else ())
        if admits(mirror.allow, address)
    ]
