"""The gate that requests go through during a move, where those that write wait."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ops.bootstrap.console import UserError

GATE_PORT = 5001
"""Port of the gate, on the node that has the images."""
_REPLACED = ("traefik.http.routers.", "traefik.http.services.", "com.docker.")
_ROUTER = re.compile(r"traefik\.http\.routers\.([^.]+)\.(.+)")
_PORT = re.compile(r"traefik\.http\.services\.([^.]+)\.loadbalancer\.server\.port")


def gate_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels by which Traefik leads the registry's requests to the gate, by its routers.

    `labels` are those of the registry's service. UserError when Traefik knows it in no way that
    this program made.
    """
    port = next(filter(None, map(_PORT.fullmatch, labels)), None)
    if port is None or labels.get("traefik.enable") != "true":
        raise UserError("Traefik doesn't lead to this registry, so nothing can make pushes wait")
    # Middlewares among them: those of the registry go while none of its tasks runs.
    routed = {key: text for key, text in labels.items() if not key.startswith(_REPLACED)}
    gate = f"{port[1]}-move"
    routed[f"traefik.http.services.{gate}.loadbalancer.server.port"] = str(GATE_PORT)
    for key, text in labels.items():
        if not (match := _ROUTER.fullmatch(key)):
            continue
        router, option = match.groups()
        if option == "rule":
            # Of two rules the longer one wins.
            text = f"({text}) && PathPrefix(`/v2/`)"
        elif option == "service":
            text = gate
        routed[f"traefik.http.routers.{router}-move.{option}"] = text
    return routed
