"""The gate of `make move`: which requests Traefik leads to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.distribution.service import no_token_server_labels
from components.token_server import TokenServerOptions, server_labels
from components.traefik.route import ATTEMPTS_AT_SEVERAL
from ops.bootstrap.console import UserError
from ops.move.gate import gate_labels

from .shared_move import ROUTE


def test_traefik_leads_requests_to_the_gate_by_the_same_routers() -> None:
    labels = ROUTE.labels(5000)
    moved = gate_labels(labels)
    name = "images-registry"
    https = f"traefik.http.routers.{name}-https"
    assert moved[f"{https}-move.service"] == f"{name}-move"
    assert moved[f"{https}-move.middlewares"] == labels[f"{https}.middlewares"]
    assert moved[f"{https}-move.tls.certresolver"] == labels[f"{https}.tls.certresolver"]
    assert moved[f"{https}-move.rule"] == "(Host(`images.example.com`)) && PathPrefix(`/v2/`)"
    assert moved[f"traefik.http.services.{name}-move.loadbalancer.server.port"] == "5001"
    assert moved["traefik.enable"] == "true"
    assert moved["traefik.swarm.network"] == "public"
    assert moved["traefik.constraint-label"] == "public"
    # Traefik forgets those of the registry while none of its tasks runs.
    middlewares = {key for key in labels if key.startswith("traefik.http.middlewares.")}
    assert middlewares
    assert all(moved[key] == labels[key] for key in middlewares)
    assert f"{https}.rule" not in moved


def test_requests_with_a_password_come_to_the_gate_in_token_mode_too() -> None:
    mirror = replace(ROUTE, domain="hub.example.com", tag="images-registry-mirror-hub")
    token_server = server_labels([ROUTE, mirror], TokenServerOptions())
    registry = ROUTE.labels(5000) | no_token_server_labels(ROUTE)
    moved = gate_labels(registry, token_server)
    name = "images-registry-login"
    https = f"traefik.http.routers.{name}-https"
    assert moved[f"{https}-move.service"] == f"{name}-move"
    assert moved[f"{https}-move.rule"] == f"({token_server[f'{https}.rule']}) && PathPrefix(`/v2/`)"
    assert moved[f"{https}-move.middlewares"] == token_server[f"{https}.middlewares"]
    assert moved[f"traefik.http.middlewares.{name}-retry.retry.attempts"] == str(
        ATTEMPTS_AT_SEVERAL
    )
    assert moved[f"traefik.http.services.{name}-move.loadbalancer.server.port"] == "5003"
    assert moved["traefik.http.services.images-registry-move.loadbalancer.server.port"] == "5001"
    # Of the rules that a request without a token meets, the gate's is the longest.
    rules = {**token_server, **registry, **moved}
    longest = max((len(text), key) for key, text in rules.items() if key.endswith(".rule"))
    assert longest[1] in (f"{https}-move.rule", f"traefik.http.routers.{name}-http-move.rule")
    routers = {key.split(".")[3] for key in moved if key.startswith("traefik.http.routers.")}
    sides = ("images-registry", name)
    assert routers == {f"{side}-{scheme}-move" for side in sides for scheme in ("http", "https")}
    services = {key.split(".")[3] for key in moved if key.startswith("traefik.http.services.")}
    assert services == {f"{side}-move" for side in sides}


def test_without_traefik_nothing_is_moved() -> None:
    with pytest.raises(UserError, match="nothing can make pushes wait"):
        gate_labels({"traefik.enable": "false"})
