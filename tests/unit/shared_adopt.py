"""A registry that runs, as tests of moving in find it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ops.adopt.configuration import Configuration, read_configuration
from ops.adopt.original import (
    Docker,
    Mount,
    Original,
)
from ops.adopt.plan import Plan
from ops.adopt.planning import make_plan

LABELS = {
    "traefik.enable": "true",
    "traefik.docker.network": "web",
    "traefik.constraint-label": "public",
    "traefik.http.routers.app-http.rule": "Host(`r.example.com`)",
    "traefik.http.routers.app-http.entrypoints": "web",
    "traefik.http.routers.app-http.middlewares": "to-https-redirect",
    "traefik.http.routers.app-https.rule": "Host(`r.example.com`)",
    "traefik.http.routers.app-https.entrypoints": "websecure",
    "traefik.http.routers.app-https.tls": "true",
    "traefik.http.routers.app-https.tls.certResolver": "letsencrypt",
    "traefik.http.middlewares.app-auth.basicauth.users": "admin:$apr1$aaaaaaaa$" + "b" * 22,
    "traefik.http.services.app.loadbalancer.server.port": "5000",
}
IMAGES = Mount("volume", "app_data", "/var/lib/registry")
FILE = Mount("bind", "/srv/config.yml", "/etc/docker/registry/config.yml")


def original(**changes: Any) -> Original:
    about: dict[str, Any] = {
        "name": "app_registry",
        "id": "id",
        "is_service": True,
        "image": "registry:2",
        "labels": LABELS,
        "variables": {},
        "mounts": [IMAGES],
        "networks": ["web", "app_default"],
    }
    return Original(**(about | changes))


def planned(
    changes: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
    logins: str | None = None,
    configured: Mapping[str, Any] | None = None,
) -> Plan:
    return make_plan(
        original(**(changes or {})),
        "app",
        "prod",
        "dog",
        (files or {}).get,
        logins=logins,
        configured=configured,
    )


def config(
    variables: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
) -> Configuration:
    return read_configuration(original(variables=variables or {}), (files or {}).get)


def variables(**values: str) -> dict[str, Any]:
    return {"variables": values}


def labels(**values: str) -> dict[str, Any]:
    names = {f"traefik.http.{key.replace('__', '.')}": value for key, value in values.items()}
    return {"labels": LABELS | names}


class FakeDocker(Docker):
    """Answers as a swarm with one service would."""

    def __init__(self, *, env: tuple[str, ...] = (), container: str = "c1", **spec: Any) -> None:
        self.container = container
        self.files = {"/etc/x": "copied", "/run/secrets/htpasswd": ""}
        task = {"Image": "registry:2@sha256:x", "Env": list(env), **spec}
        service = {
            "Name": "app_registry",
            "Mode": {"Replicated": {"Replicas": 1}},
            "Labels": LABELS,
            "TaskTemplate": {"ContainerSpec": task, "Networks": [{"Target": "n1"}]},
            "EndpointSpec": {"Ports": [{"PublishedPort": 5000}]},
        }
        self.service: dict[str, Any] = {"ID": "id", "Spec": service}

    def __call__(self, *args: str) -> str:
        answers = {
            "service ls": "id",
            "service ps": "dog",
            "network ls": "n1 web\nn2 other",
            "ps -q": self.container,
        }
        return answers.get(" ".join(args[:2]), "")

    def inspect(self, kind: str, *names: str) -> list[Any]:
        if kind == "config":
            return [{"Spec": {"Data": base64.b64encode(b"a config").decode()}}]
        return [self.service] if kind == "service" and names else []

    def read_file(self, _: str, path: str) -> str | None:
        return self.files.get(path)

    def printed(self, container: str, path: str) -> str | None:
        return f"{container} printed {path}"
