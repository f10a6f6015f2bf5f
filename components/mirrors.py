"""Pull-through caches of other registries, each a service of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.distribution.config import (
    CA_FILE,
    CONFIG_PATH,
    HTPASSWD_PATH,
    JWKS_PATH,
    REGISTRY_IMAGE,
    UPSTREAM_FOLDER,
    ConfigOptions,
    Secrets,
    Upstream,
    Wiring,
    document,
    folder_of_mirror,
    of_mirrors,
)
from components.distribution.service import (
    TaskArgs,
    TaskOptions,
    registry_service,
    registry_task,
)
from components.swarm.service import SwarmService
from components.traefik.route import Route


@dataclass(frozen=True, kw_only=True)
class MirrorOptions:
    """Options of one pull-through cache."""

    name: str
    """Its service is `<stack>_mirror-<name>`."""
    domain: str
    """Public host name, no scheme."""
    upstream: Upstream = field(repr=False)
    image: str = REGISTRY_IMAGE
    allow: Sequence[str] = ()
    """Addresses and networks that may pull without a login; none: whoever has a login of the
    registry may, and nobody else; with tokens, whoever may pull that name from the registry."""
    ca: str | None = None
    """PEM: authority of the upstream's certificate, besides those that the image trusts."""

    @property
    def asks_login(self) -> bool:
        """Return whether it asks for the registry's login."""
        return not self.allow


def service_of(mirror: str) -> str:
    """Return the Swarm service of the mirror with that name, as its stack calls it."""
    return f"mirror-{mirror}"


@dataclass(frozen=True, kw_only=True)
class MirrorsArgs(TaskArgs):
    """Arguments of `Mirrors`; of the registry's configuration they take over log and storage."""

    options: TaskOptions = field(default_factory=TaskOptions)
    mirrors: Sequence[MirrorOptions]
    routes: Mapping[str, Route]
    """By name of the mirror."""


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

    def _service(self, mirror: MirrorOptions) -> SwarmService:
        args, upstream, route = self._args, mirror.upstream, self._args.routes[mirror.name]
        login, jwks = (args.htpasswd, args.jwks) if mirror.asks_login else (None, None)
        files = {
            CONFIG_PATH: self._config(login=bool(login), tokens=bool(jwks), https=route.is_secure),
            f"{UPSTREAM_FOLDER}/get": self._secret(
                f"{mirror.name}-upstream" if upstream.username else "anonymous", upstream.login()
            ),
        }
        if login:
            files[HTPASSWD_PATH] = login
        if jwks:
            files[JWKS_PATH] = self._secret("jwks", jwks)
        ca = args.options.ca
        if mirror.ca:
            bundle = "\n".join(filter(None, [ca, mirror.ca]))
            files[CA_FILE] = self._secret(f"{mirror.name}-authorities", bundle)
        elif ca:
            files[CA_FILE] = self._secret("authorities", ca)
        driver, folder = folder_of_mirror(args.options.config, mirror.name)
        # What differs, and nobody needs to hide, comes on top of the configuration that they share
        # ("Override specific configuration options" in distribution's documentation).
        variables = {
            "REGISTRY_PROXY_REMOTEURL": upstream.url,
            "REGISTRY_PROXY_TTL": upstream.ttl,
            f"REGISTRY_STORAGE_{driver.upper()}_ROOTDIRECTORY": folder,
        }
        task = registry_task(
            args,
            mirror.image,
            files,
            discovery_seconds=route.discovery_seconds,
            variables=variables,
            folder=UPSTREAM_FOLDER,
        )
        service = service_of(mirror.name)
        opts = pulumi.ResourceOptions(parent=self)
        name = f"{self._name}-{mirror.name}-service"
        return registry_service(name, args, service, task, route, opts, has_tokens=jwks is not None)

    def _config(self, *, login: bool, tokens: bool, https: bool) -> docker.Secret:
        options = self._args.options
        of_mirror = ConfigOptions(
            config=of_mirrors(options.config), drain_seconds=options.drain_seconds
        )
        issuer = self._args.stack.name if tokens else None
        wiring = Wiring(login=login, issuer=issuer, https=https, mirror=True)
        text = self._http.apply(
            lambda http: json.dumps(document(of_mirror, Secrets(http=http), wiring), indent=2)
        )
        return self._secret("config" if login or tokens else "config-open", text)

    def _secret(self, part: str, text: pulumi.Input[str]) -> docker.Secret:
        """Return the secret of that name, made once."""
        if part not in self._secrets:
            opts = pulumi.ResourceOptions(parent=self)
            self._secrets[part] = self._args.stack.secret(f"{self._name}-{part}", text, opts)
        return self._secrets[part]
