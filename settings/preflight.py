"""Whether a swarm has what a stack's settings ask for, before anything is made."""

from __future__ import annotations

from components.distribution.config import PORT
from components.swarm.inspect import Swarm, holds
from components.swarm.preflight import (
    Ports,
    Routed,
    check_collisions,
    check_images,
    check_nodes,
    check_ports,
    check_space,
)
from components.swarm.service import service_name
from components.traefik.flags import UI_PORT
from settings import Settings
from settings.mirrors import admits

BRIDGE = "docker_gwbridge"
"""Network by which a node's tasks reach the world, and are reached at ports of the node."""


def check_swarm(settings: Settings, swarm: Swarm) -> list[str]:
    """Return warnings; `RunError` when what the settings ask for couldn't come up."""
    proxy, stack_name = settings.proxy, settings.stack_name

    def name(service: str) -> str:
        return service_name(stack_name, service)

    routed = [Routed(name("registry"), settings.route.labels(PORT), "registry:domain")]
    for mirror in settings.mirrors:
        labels = settings.mirror_route(mirror).labels(PORT)
        setting = f"--path registry:mirrors.{mirror.name}.domain"
        routed.append(Routed(name(f"mirror-{mirror.name}"), labels, setting))
    if route := settings.dashboard_route:
        labels = route.labels(UI_PORT, service="api@internal")
        routed.append(Routed(name("proxy"), labels, "registry:dashboardDomain"))
    if proxy and settings.route.https:
        labels = settings.route.https.redirect_labels(proxy.https_port)
        routed.append(Routed(name("proxy"), labels, "registry:redirectMiddleware"))
    warnings = check_collisions(
        swarm,
        routed,
        stack_name=stack_name,
        volumes=settings.volumes,
        constraint=(settings.constraint_label, settings.constraint_value),
        redirect=settings.redirect_middleware,
    )
    warnings += opened_to_ipv6(settings, swarm)
    # Where the images are on one node, their storage looks at that one.
    if not settings.pins_volume and name("registry") not in swarm.services:
        check_nodes(swarm, name("registry"), settings.constraints)
    images = {"registry": ("image", settings.image)}
    if settings.cache == "redis":
        images["redis"] = ("redisImage", settings.redis_image)
    if proxy:
        images["proxy"] = ("proxyImage", proxy.image)
        if proxy.socket_proxy:
            images["socket_proxy"] = ("socketProxyImage", proxy.socket_proxy_image)
        warnings += [
            f"The Docker engine at {swarm.engine.host} {reason}: a Traefik on such a node would"
            " find no service. Use another engine, or registry:proxy none behind a Traefik"
            for reason in swarm.closed_sockets
        ]
        ports = {proxy.http_port: "proxyHttpPort"}
        if settings.route.https:
            ports[proxy.https_port] = "proxyHttpsPort"
        if proxy.ui_port:
            ports[proxy.ui_port] = "proxyUiPort"
        managers = [node for node in swarm.nodes if node.manager]
        label = f"{stack_name}.certificates"
        bound = [node for node in managers if proxy.acme and holds(node.labels, label)]
        check_ports(
            swarm,
            Ports(name("proxy"), ports, bound or managers, everywhere=proxy.mode == "global"),
        )
    new = [setting for part, setting in images.items() if name(part) not in swarm.services]
    warnings += check_images(swarm, dict(new))
    if name("registry") not in swarm.services:
        warnings += check_space(swarm)
    return warnings


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
