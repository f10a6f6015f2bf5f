"""Pull-through caches of other registries, each a service of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.distribution.config import (
    CONFIG_PATH,
    HTPASSWD_PATH,
    UPSTREAM_FOLDER,
    Options,
    Secrets,
    Upstream,
    document,
    folder_of_mirror,
    of_mirrors,
)
from components.distribution.service import (
    AUTHORITY_FILE,
    TaskArgs,
    registry_service,
    registry_task,
)
from components.swarm.service import SwarmService
from components.swarm.stack import swarm_secret
from components.traefik.route import Route


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """One of them."""

    name: str
    """Its service is `<stack_name>_mirror-<name>`."""
    image: pulumi.Input[str]
    route: Route
    upstream: Upstream
    login: bool
    """Whether it asks for the registry's login."""
    authority: str | None = None
    """PEM: authority of the upstream's certificate, besides those that the image trusts."""


@dataclass(frozen=True, kw_only=True)
class MirrorsArgs(TaskArgs):
    """What mirrors are told."""

    mirrors: Sequence[Mirror]
    htpasswd: docker.Secret | None
    """bcrypt login lines; None where Traefik asks for the login."""
    authorities: str | None = None
    """PEM: authority of the object store's certificate."""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The registry's configuration, of which they take over log and storage."""


class Mirrors(pulumi.ComponentResource):
    """Pull-through caches, which share what they can: a preview of twenty takes hardly longer."""

    services: Sequence[SwarmService]
    """The Swarm services, one a mirror."""

    def __init__(
        self, name: str, args: MirrorsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Mirrors", name, None, opts)
        self._name, self._args, self._secrets = name, args, dict[str, docker.Secret]()
        child = pulumi.ResourceOptions(parent=self)
        # They take no uploads, but the registry complains without one.
        self._http = random.RandomBytes(f"{name}-http-secret", length=32, opts=child).base64
        self.services = [self._service(mirror) for mirror in args.mirrors]
        self.register_outputs({})

    def _service(self, mirror: Mirror) -> SwarmService:
        args, upstream = self._args, mirror.upstream
        login = mirror.login and args.htpasswd
        files = {
            CONFIG_PATH: self._config(login=bool(login), https=mirror.route.is_secure),
            f"{UPSTREAM_FOLDER}/get": self._secret(
                f"{mirror.name}-upstream" if upstream.username else "anonymous", upstream.login()
            ),
        }
        if login:
            files[HTPASSWD_PATH] = login
        if mirror.authority:
            both = "\n".join(filter(None, [args.authorities, mirror.authority]))
            files[AUTHORITY_FILE] = self._secret(f"{mirror.name}-authorities", both)
        elif args.authorities:
            files[AUTHORITY_FILE] = self._secret("authorities", args.authorities)
        driver, folder = folder_of_mirror(args.config, mirror.name)
        # What differs, and nobody needs to hide, comes on top of the configuration that they share
        # ("Override specific configuration options" in distribution's documentation).
        variables = {
            "REGISTRY_PROXY_REMOTEURL": upstream.url,
            "REGISTRY_PROXY_TTL": upstream.ttl,
            f"REGISTRY_STORAGE_{driver.upper()}_ROOTDIRECTORY": folder,
        }
        task = registry_task(args, mirror.image, files, variables=variables, folder=UPSTREAM_FOLDER)
        service = f"mirror-{mirror.name}"
        opts = pulumi.ResourceOptions(parent=self)
        name = f"{self._name}-{mirror.name}-service"
        return registry_service(name, args, service, task, mirror.route, opts)

    def _config(self, *, login: bool, https: bool) -> docker.Secret:
        drain = self._args.drain_seconds
        options = Options(login=login, https=https, mirror=True, drain_seconds=drain)
        config = of_mirrors(self._args.config)
        text = self._http.apply(
            lambda http: json.dumps(document(config, Secrets(http=http), options), indent=2)
        )
        return self._secret("config" if login else "config-open", text)

    def _secret(self, what: str, text: pulumi.Input[str]) -> docker.Secret:
        """The secret of that name, made once."""
        if what not in self._secrets:
            opts = pulumi.ResourceOptions(parent=self)
            args, name = self._args, f"{self._name}-{what}"
            self._secrets[what] = swarm_secret(
                name, args.stack_name, text, opts, prefix=args.secret_prefix
            )
        return self._secrets[what]
