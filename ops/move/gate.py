"""The gate that requests go through during a move, where those that write wait."""

from __future__ import annotations

import re
from collections.abc import Mapping

from components.distribution.config import PORT
from components.token_server import login_tag
from components.traefik.dynamic import REGISTRY_PATH
from ops.bootstrap.console import UserError

GATE_PORT, LOGIN_GATE_PORT = 5001, 5003
"""Ports of the gate, on the node that has the images: before the registry, and before the token
server, by which requests with a password go to the registry."""
_REPLACED = ("traefik.http.routers.", "traefik.http.services.", "com.docker.")
_ROUTER = re.compile(r"traefik\.http\.routers\.([^.]+)\.(.+)")
_SERVICE = re.compile(r"traefik\.http\.services\.([^.]+)\.loadbalancer\.server\.port")


def gate_labels(
    registry: Mapping[str, str], token_server: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return labels by which Traefik leads the registry's requests to the gate, by its routers.

    These are in the labels of the registry's service, and of the token server's, if there is one:
    mirrors and requests for tokens go on as before. UserError when Traefik knows the registry in no
    way that this program made.
    """
    names = [
        match[1]
        for key, port in registry.items()
        if (match := _SERVICE.fullmatch(key)) and port == str(PORT)
    ]
    if len(names) != 1 or registry.get("traefik.enable") != "true":
        raise UserError("Traefik doesn't lead to this registry, so nothing can make pushes wait")
    (name,) = names
    logins = token_server or {}
    login = login_tag(name)
    # Middlewares among them: those of the registry go while none of its tasks runs.
    labels = {key: text for key, text in registry.items() if not key.startswith(_REPLACED)}
    prefix = f"traefik.http.middlewares.{login}-"
    labels |= {key: text for key, text in logins.items() if key.startswith(prefix)}
    return labels | _led(registry, name, GATE_PORT) | _led(logins, login, LOGIN_GATE_PORT)


def _led(labels: Mapping[str, str], service: str, port: int) -> dict[str, str]:
    """Return labels of routers as those in `labels` to `service`, which lead to a gate's `port`."""
    options = [
        (match[1], match[2], text)
        for key, text in labels.items()
        if (match := _ROUTER.fullmatch(key))
    ]
    routers = {router for router, option, text in options if (option, text) == ("service", service)}
    gate = f"{service}-move"
    led = {f"traefik.http.services.{gate}.loadbalancer.server.port": str(port)} if routers else {}
    for router, option, text in options:
        if router in routers:
            # Of two rules the longer one wins.
            changed = {"service": gate, "rule": f"({text}) && PathPrefix(`{REGISTRY_PATH}`)"}
            led[f"traefik.http.routers.{router}-move.{option}"] = changed.get(option, text)
    return led
