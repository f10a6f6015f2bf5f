"""What `make adopt` takes over, as `docker stack deploy` and Compose have deployed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from components.proxy import TRAEFIK_IMAGE
from testing.acme_server import AcmeServer
from testing.site import SwarmUnderTest
from testing.testswarm import SUBNET

MAIN, PROXY = "traefik", "traefik_traefik"
ORIGINAL, SERVICE = "registry-com", "registry-com_registry"
DOMAIN = "registry.tmd.fakhred.in"
IMAGE = "registry:2.8.of-debian"
"""The version that the original deploys; the official image can't be had everywhere."""


def main_traefik(acme_server: AcmeServer, ca_file: str) -> dict[str, object]:
    """Return the recipe that publishes ports on the host; only its ACME server differs."""
    labels = {
        "traefik.enable": "true",
        "traefik.docker.network": "traefik-public",
        "traefik.constraint-label": "traefik-public",
        "traefik.http.middlewares.https-redirect.redirectscheme.scheme": "https",
        "traefik.http.middlewares.https-redirect.redirectscheme.permanent": "true",
        "traefik.http.routers.traefik-public-http.rule": "Host(`traefik.example.com`)",
        "traefik.http.routers.traefik-public-http.entrypoints": "http",
        "traefik.http.routers.traefik-public-http.middlewares": "https-redirect",
        "traefik.http.services.traefik-public.loadbalancer.server.port": "8080",
        # For other stacks' routers: `office@swarm`.
        "traefik.http.middlewares.office.ipallowlist.sourcerange": f"{SUBNET}.0/24",
    }
    return {
        "version": "3.3",
        "services": {
            "traefik": {
                "image": TRAEFIK_IMAGE,
                "ports": [
                    {"target": port, "published": port, "mode": "host"} for port in (80, 443)
                ],
                "deploy": {
                    "placement": {
                        "constraints": [
                            "node.labels.traefik-public.traefik-public-certificates == true"
                        ]
                    },
                    "labels": labels,
                },
                "volumes": [
                    "/var/run/docker.sock:/var/run/docker.sock:ro",
                    "traefik-public-certificates:/certificates",
                ],
                "command": [
                    "--providers.docker",
                    "--providers.docker.constraints="
                    "Label(`traefik.constraint-label`, `traefik-public`)",
                    "--providers.docker.exposedbydefault=false",
                    "--providers.swarm.endpoint=unix:///var/run/docker.sock",
                    "--entrypoints.http.address=:80",
                    "--entrypoints.https.address=:443",
                    "--certificatesresolvers.le.acme.email=admin@example.com",
                    "--certificatesresolvers.le.acme.storage=/certificates/acme.json",
                    "--certificatesresolvers.le.acme.tlschallenge=true",
                    f"--certificatesresolvers.le.acme.caserver={acme_server.directory}",
                    "--certificatesresolvers.le.acme.cacertificates=/ca.pem",
                    "--accesslog",
                    "--log",
                    "--api",
                ],
                "configs": [{"source": "ca", "target": "/ca.pem"}],
                "networks": ["traefik-public"],
            }
        },
        "volumes": {"traefik-public-certificates": {}},
        "configs": {"ca": {"file": ca_file}},
        "networks": {"traefik-public": {"external": True}},
    }


def router_labels(domain: str, tag: str, middlewares: str = "") -> dict[str, str]:
    """Return the labels that DockerSwarm.rocks documents: a router for HTTP, one for HTTPS."""
    router = f"traefik.http.routers.{tag}"
    labels = {
        "traefik.enable": "true",
        "traefik.docker.network": "traefik-public",
        "traefik.constraint-label": "traefik-public",
        f"{router}-http.rule": f"Host(`{domain}`)",
        f"{router}-http.entrypoints": "http",
        f"{router}-http.middlewares": "https-redirect",
        f"{router}-https.rule": f"Host(`{domain}`)",
        f"{router}-https.entrypoints": "https",
        f"{router}-https.tls": "true",
        f"{router}-https.tls.certresolver": "le",
        f"traefik.http.services.{tag}.loadbalancer.server.port": "5000",
    }
    return labels | ({f"{router}-https.middlewares": middlewares} if middlewares else {})


def original(hashed: str) -> dict[str, object]:
    """Return the docker-compose project: Traefik asks for the login, by its apr1 hash."""
    labels = router_labels(DOMAIN, "registry-com", "registry-com-auth")
    labels["traefik.http.middlewares.registry-com-auth.basicauth.users"] = (
        f"admin:{hashed}".replace("$", "$$")
    )
    stack = registry_stack(
        labels,
        node=f"node.labels.{ORIGINAL}.app-registry-data == true",
        environment={
            "REGISTRY_STORAGE_DELETE_ENABLED": "true",
            "REGISTRY_HTTP_DRAINTIMEOUT": "5s",
        },
        volumes=["app-registry-data:/var/lib/registry"],
        networks=["traefik-public", "default"],
    )
    # Which `docker stack deploy` gives no label of the stack.
    name = f"{ORIGINAL}_app-registry-data"
    return stack | {"volumes": {"app-registry-data": {"external": {"name": name}}}}


def registry_stack(labels: dict[str, str], node: str, **service: Any) -> dict[str, Any]:
    """Return a stack file with a registry on the nodes of a constraint, and `service`."""
    return {
        "version": "3.3",
        "services": {
            "registry": {
                "image": IMAGE,
                "volumes": ["data:/var/lib/registry"],
                "networks": ["traefik-public"],
                "deploy": {"placement": {"constraints": [node]}, "labels": labels},
                **service,
            }
        },
        "volumes": {"data": {}},
        "networks": {"traefik-public": {"external": True}},
    }


def deploy(site: SwarmUnderTest, folder: Path, name: str, stack: dict[str, object]) -> None:
    """Run `docker stack deploy`."""
    file = folder / f"{name}.yml"
    file.write_text(yaml.safe_dump(stack))
    site.swarm.docker(site.swarm.nodes[0], "stack", "deploy", "-c", file, name, timeout=120)
