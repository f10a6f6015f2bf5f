"""The registry's `config.yml`: what the component sets, and what a user may set over it.

Section names and defaults: "Configuring a registry" in distribution's documentation, 3.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.distribution.storage import (
    FILESYSTEM,
    ROOT_DIRECTORY,
    driver_defaults,
    drivers_in,
    keeps_files,
)

REGISTRY_IMAGE = "registry:3.1.2"
"""The version that `images/` builds where Docker Hub can't be reached."""
PORT = 5000
"""TCP port that the registry listens on, inside its task."""
DRAIN_SECONDS = 60
"""Time for which a stopping registry lets requests under way finish, unless a setting says
otherwise."""
UPSTREAM_FOLDER = "/etc/distribution/upstream"
"""Working folder of a mirror. The registry asks its credential helper `COMMAND get` for the login
of the upstream; as COMMAND is `cat`, the file `get` here answers."""
HUB = "https://registry-1.docker.io"
"""Docker Hub's registry."""
CONFIG_PATH = "/etc/distribution/config.yml"
"""File in which registry 3.x looks for its configuration (2.8: /etc/docker/registry)."""
HSTS_SECONDS = 365 * 24 * 3600
"""Time for which a browser insists on HTTPS; a year, as hstspreload.org asks for at the least."""
HTPASSWD_PATH = "/run/secrets/htpasswd"
JWKS_PATH = "/etc/distribution/jwks.json"
"""Public keys of the tokens that count."""
TOKEN_PATH = "/auth/token"  # noqa: S105 - of a URL
"""Path of the token server, at the registry's own host and port: some clients go to no other."""
DATA_PATH = "/var/lib/registry"
CA_FOLDER = "/etc/distribution/authorities"
"""Folder of further CA certificates that the registry trusts."""
CA_FILE = f"{CA_FOLDER}/further.pem"

OWNED = (
    "version",
    "auth",
    "proxy",
    "http.addr",
    "http.net",
    "http.prefix",
    "http.secret",
    "http.tls",
    "http.draintimeout",
    "storage.filesystem.rootdirectory",
)
"""Paths that other parts of the deployment rely on: routing, health check, login, volume, drain."""


def value_at(config: Mapping[str, Any], path: str) -> Any:
    """Return what `config` has at a dotted path; None where there is nothing."""
    value: Any = config
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def owned_paths_in(config: Mapping[str, Any]) -> list[str]:
    """Return the `OWNED` paths that `config` tries to set."""
    return [path for path in OWNED if _has(config, path)]


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """The registry that a pull-through cache is of."""

    url: str
    """With scheme, without path."""
    ttl: str = "168h"
    """Time for which what was pulled is kept, in the registry's form of a duration; `0s`: for
    good."""
    username: str | None = None
    """None: anonymous."""
    password: str | None = field(default=None, repr=False)

    def login(self) -> str:
        """Return the answer of a credential helper (docker-credential-helpers' protocol)."""
        return json.dumps({"Username": self.username or "", "Secret": self.password or ""})


@dataclass(frozen=True, kw_only=True)
class ConfigOptions:
    """Options of a registry's configuration."""

    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Keys of `config.yml`, merged over the component's own."""
    drain_seconds: int = DRAIN_SECONDS
    """Time for which a stopping registry lets requests under way finish, after it has served on."""
    read_only: bool = False
    """Refuse pushes and deletions; pulls go on."""


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """Connections of a registry to the rest of a deployment."""

    login: bool = True
    """The registry asks for the login itself."""
    issuer: str | None = None
    """Whose tokens it asks for, in place of a login; None for no tokens."""
    https: bool = False
    """It is reached over HTTPS."""
    mirror: bool = False
    """It is a pull-through cache; of what, each task's variables say."""
    redis: str | None = None
    """host:port of the Redis that all replicas share."""
    collected: bool = False
    """A garbage collection removes blobs while it runs: no task may remember them by itself."""


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Secrets of the registry."""

    http: str = field(repr=False)
    """Signs the state of uploads: the same in every replica, and after every update."""
    redis: str | None = field(default=None, repr=False)
    """Password of Redis."""


def document(options: ConfigOptions, secrets: Secrets, wiring: Wiring) -> dict[str, Any]:
    """Return the whole configuration: the component's own, with `options.config` over it."""
    config = options.config
    defaults: dict[str, Any] = {
        "version": "0.1",
        # Traefik logs each request; here it would be the health checks above all.
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"cache": {"blobdescriptor": "inmemory"}},
        "http": {
            "addr": f":{PORT}",
            "secret": secrets.http,
            "draintimeout": f"{options.drain_seconds}s",
            "headers": {"X-Content-Type-Options": ["nosniff"]},
        },
        "auth": {"htpasswd": {"realm": "Registry", "path": HTPASSWD_PATH}},
        "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
    }
    if wiring.issuer:
        defaults["auth"] = {"token": _token_auth(wiring.issuer)}
    elif not wiring.login:
        del defaults["auth"]
    if options.read_only:
        defaults["storage"]["maintenance"] = {"readonly": {"enabled": True}}
    if wiring.redis:
        defaults["storage"]["cache"]["blobdescriptor"] = "redis"
        defaults["redis"] = {"addrs": [wiring.redis], "password": secrets.redis}
    elif wiring.collected:
        # It would take what was removed for present, and confirm pushes that lack it.
        del defaults["storage"]["cache"]
    if wiring.https:
        # Here rather than in Traefik: so it holds behind any Traefik.
        defaults["http"]["headers"]["Strict-Transport-Security"] = [f"max-age={HSTS_SECONDS}"]
    defaults["storage"] |= driver_defaults(config)
    if wiring.mirror:
        # With name and password here instead, it asks the upstream for its kind of login as it
        # starts, and ends when nobody answers: no start, and no cached image, in an outage.
        defaults["proxy"] = {"exec": {"command": "cat"}}
        # Else what has expired can't be removed ("unsupported"), and the cache only grows.
        defaults["storage"]["delete"] = {"enabled": True}
    if keeps_files(config):
        defaults["storage"][FILESYSTEM] = {ROOT_DIRECTORY: DATA_PATH}
    return merged(defaults, config)


def _token_auth(issuer: str) -> dict[str, Any]:
    """Return what has the registry ask for tokens that `issuer` has signed, for itself."""
    return {
        # The address is made of the request's own, so that it is right behind each name. It asks
        # for a realm all the same.
        "realm": TOKEN_PATH,
        "autoredirect": True,
        "autoredirectpath": TOKEN_PATH,
        "issuer": issuer,
        "service": issuer,
        "jwks": JWKS_PATH,
        "signingalgorithms": ["ES256"],
    }


def of_mirrors(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the registry's `config` that mirrors have too: its log and its storage."""
    storage = config.get("storage") or {}
    kept = {key: storage[key] for key in (*drivers_in(config), "redirect") if key in storage}
    return {"storage": kept} | ({"log": config["log"]} if "log" in config else {})


def folder_of_mirror(config: Mapping[str, Any], name: str) -> tuple[str, str]:
    """Return the storage driver, and the folder in which the mirror `name` keeps all."""
    for driver in drivers_in(config):
        if driver != FILESYSTEM:
            top = (config["storage"][driver] or {}).get(ROOT_DIRECTORY) or ""
            return driver, f"{top.rstrip('/')}/mirrors/{name}"
    return FILESYSTEM, f"{DATA_PATH}/mirrors/{name}"


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `overrides`: maps are merged key by key, anything else is replaced."""
    result = dict(base)
    for key, value in overrides.items():
        below = result.get(key)
        are_maps = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if are_maps else value  # type: ignore[arg-type]
    return result


def _has(config: Mapping[str, Any], path: str) -> bool:
    return path in _paths(config)


def _paths(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{prefix}{key}.")
