"""What the settings make of host names: routes for Traefik, and addresses for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from components.distribution.config import value_at
from components.mirrors import MirrorOptions, service_of
from components.traefik.dynamic import REGISTRY_OPTIONS, REGISTRY_PATH
from components.traefik.flags import DISCOVERY_SECONDS
from components.traefik.route import CORS_OPTIONS, Https, RateLimit, Route
from settings.certificate import is_address
from settings.routing import OF_TRAEFIK, RATE_BURST

if TYPE_CHECKING:
    from settings import Settings

FOREIGN_DISCOVERY_SECONDS = 20
"""Time for which another stack's Traefik may send requests to a task that is about to end: by
default it asks for changes every 15 s (`providers.swarm.refreshSeconds`)."""


@dataclass(frozen=True)
class Routes:
    """Routes and addresses of a stack."""

    _settings: Settings

    @property
    def registry(self) -> Route:
        """Return how Traefik finds the registry."""
        settings, routing = self._settings, self._settings.routing
        return replace(
            self._route(routing.domain, routing.tag, self._blob_options(routing.domain)),
            path=REGISTRY_PATH if routing.shared_domain else "",
            cors=_cors(settings.registry.config),
            users=settings.hashed_passwords,
        )

    @property
    def dashboard(self) -> Route | None:
        """Return how Traefik finds its own dashboard, if there shall be one."""
        dashboard, tag = self._settings.dashboard, self._settings.routing.tag
        return self._route(dashboard.domain, f"{tag}-dashboard") if dashboard else None

    @property
    def mirrors(self) -> Mapping[str, Route]:
        """Return how Traefik finds the mirrors, by name."""
        return {mirror.name: self.mirror(mirror) for mirror in self._settings.mirrors}

    def mirror(self, mirror: MirrorOptions) -> Route:
        """Return how Traefik finds a mirror."""
        tag = f"{self._settings.routing.tag}-mirror-{mirror.name}"
        route = self._route(mirror.domain, tag, self._blob_options(mirror.domain))
        users = self._settings.hashed_passwords if mirror.asks_login else {}
        return replace(route, allow=mirror.allow, users=users)

    @property
    def tokens(self) -> Mapping[str, Route]:
        """Return the routes of all that ask for tokens, by Swarm service, the registry's first."""
        with_login = [mirror for mirror in self._settings.mirrors if mirror.asks_login]
        mirrors = {service_of(mirror.name): self.mirror(mirror) for mirror in with_login}
        return {"registry": self.registry, **mirrors}

    @property
    def url(self) -> str:
        """Return where the registry answers, with scheme."""
        return self.url_of(self._settings.routing.domain)

    @property
    def dashboard_url(self) -> str | None:
        """Return where Traefik's dashboard answers, else the one for development, with scheme."""
        settings = self._settings
        if settings.dashboard:
            return f"{self.url_of(settings.dashboard.domain)}/dashboard/"
        if settings.proxy and settings.proxy.dashboard_port:
            return f"http://{settings.routing.domain}:{settings.proxy.dashboard_port}"
        return None

    def url_of(self, domain: str) -> str:
        """Return where `domain` answers, with scheme."""
        proxy = self._settings.proxy
        if self._settings.routing.https == "none":
            port = proxy.http_port if proxy else 80
            return f"http://{domain}" + ("" if port == 80 else f":{port}")
        port = proxy.https_port if proxy else 443
        return f"https://{domain}" + ("" if port == 443 else f":{port}")

    def _route(self, domain: str, tag: str, tls_options: str | None = None) -> Route:
        routing, own_proxy = self._settings.routing, self._settings.proxy is not None
        return Route(
            domain=domain,
            tag=tag,
            network=self._settings.network.name,
            network_label=routing.network_label,
            constraint_label=routing.constraint_label,
            constraint_value=routing.constraint_value,
            entry_point=routing.entry_point,
            https=self._https(tls_options),
            external_https=routing.https == "external",
            limit=self._limit,
            middlewares=routing.middlewares,
            discovery_seconds=DISCOVERY_SECONDS if own_proxy else FOREIGN_DISCOVERY_SECONDS,
        )

    @property
    def _limit(self) -> RateLimit | None:
        average, trusted = self._settings.routing.rate_limit, self._settings.routing.trusted_proxies
        if average is None:
            return None
        return RateLimit(average=average, burst=max(average, RATE_BURST), trusted_proxies=trusted)

    def _https(self, options: str | None) -> Https | None:
        routing = self._settings.routing
        if routing.https not in OF_TRAEFIK:
            return None
        return Https(
            entry_point=routing.https_entry_point,
            resolver=routing.cert_resolver if routing.https == "acme" else None,
            options=options,
            redirect=routing.redirect_middleware,
        )

    def _blob_options(self, domain: str) -> str | None:
        """Return the TLS options for a registry's name.

        Without any where a connection may begin without the name (SNI), or another service has it
        too: Traefik gives that one its default options, and answers 421 where the router names
        others.
        """
        routing, proxy = self._settings.routing, self._settings.proxy
        if routing.tls_options:
            return routing.tls_options
        fronted = bool(proxy and proxy.trusted_proxies)
        shared = routing.shared_domain and domain == routing.domain
        if routing.proxy_mode != "main" or fronted or shared or is_address(domain):
            return None
        return f"{REGISTRY_OPTIONS}@file"


def _cors(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the headers by which the registry admits pages of other sites, and their values."""
    headers = value_at(config, "http.headers")
    if not isinstance(headers, Mapping):
        return {}
    given = {str(name).title(): value for name, value in headers.items()}
    if not given.get("Access-Control-Allow-Origin"):
        return {}
    return {
        name: ",".join(map(str, given[name])) if isinstance(given[name], list) else str(given[name])
        for name in CORS_OPTIONS
        if name in given
    }
