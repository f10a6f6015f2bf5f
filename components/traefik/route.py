"""How Traefik finds a service: the labels that DockerSwarm.rocks documents, and no others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from components.distribution.config import HSTS_SECONDS
from components.traefik.flags import API_PORT, CERT_RESOLVER, DISCOVERY_SECONDS

USERS_PATH = "/run/secrets/dashboard-users"
"""File with those who may see Traefik's dashboard."""
NETWORK_LABELS = ("traefik.docker.network", "traefik.swarm.network")
"""The label that every Traefik reads, with a complaint since 3.2.2, and what 3.2.2 and later ask
for. Both at once, and Traefik skips the service."""

HEALTH_INTERVAL_SECONDS = 2
"""Interval at which Traefik looks after a task's health."""
ATTEMPTS_AT_SEVERAL = 12
"""Tries of a request where a service has several tasks: one of two may be lost. Traefik takes them
in turn, for all requests at once, so each try meets the lost one as likely as not; and a request
that has begun before Traefik noticed goes on with the tasks that there were. `docker login` waits
15 s for all of them."""
CORS_OPTIONS = {
    "Access-Control-Allow-Origin": "accesscontrolalloworiginlist",
    "Access-Control-Allow-Methods": "accesscontrolallowmethods",
    "Access-Control-Allow-Headers": "accesscontrolallowheaders",
    "Access-Control-Allow-Credentials": "accesscontrolallowcredentials",
    "Access-Control-Expose-Headers": "accesscontrolexposeheaders",
    "Access-Control-Max-Age": "accesscontrolmaxage",
}
"""Options of Traefik's middleware `headers`, by the header that each makes."""


def label_name(text: str) -> str:
    """Return `text` as a name within a label's key, whose parts a dot would separate."""
    return re.sub(r"[^A-Za-z0-9-]", "-", text)


@dataclass(frozen=True, kw_only=True)
class Https:
    """HTTPS of a router, and what plain HTTP does then."""

    entry_point: str = "https"
    resolver: str | None = CERT_RESOLVER
    """Traefik's certificate resolver; None for certificates that Traefik is given."""
    options: str | None = None
    """Traefik's TLS options for this host name; None for those of everybody."""
    redirect: str = "https-redirect"
    """Middleware that sends plain HTTP to HTTPS."""

    def labels(self, prefix: str) -> dict[str, str]:
        """Return labels of the router `prefix`."""
        labels = {f"{prefix}.entrypoints": self.entry_point, f"{prefix}.tls": "true"}
        if self.resolver:
            labels[f"{prefix}.tls.certresolver"] = self.resolver
        if self.options:
            labels[f"{prefix}.tls.options"] = self.options
        return labels

    def redirect_labels(self, port: int) -> dict[str, str]:
        """Return labels that make the middleware; `port` is where HTTPS is reached from outside."""
        prefix = f"traefik.http.middlewares.{self.redirect}.redirectscheme"
        labels = {f"{prefix}.scheme": "https", f"{prefix}.permanent": "true"}
        return labels if port == 443 else labels | {f"{prefix}.port": str(port)}


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """Limit of requests from one address, which may be that of many clients; others get 429."""

    average: int
    """Requests a second."""
    burst: int
    """Requests at once."""
    trusted_proxies: Sequence[str] = ()
    """Addresses and networks (CIDR) of proxies in front of Traefik, which say whom they serve."""

    def labels(self, name: str) -> dict[str, str]:
        """Return labels that make the middleware `name`."""
        prefix = f"traefik.http.middlewares.{name}.ratelimit"
        labels = {f"{prefix}.average": str(self.average), f"{prefix}.burst": str(self.burst)}
        if self.trusted_proxies:
            addresses = ",".join(self.trusted_proxies)
            labels[f"{prefix}.sourcecriterion.ipstrategy.excludedips"] = addresses
        return labels


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """Request by which Traefik itself finds out whether a task is away.

    For tasks whose connections are kept: connecting anew may take longer on a busy machine than
    Traefik's `dialTimeout`, one look that fails leaves a task out, and where all are left out
    clients get 503.
    """

    path: str
    """Path at which a task answers 200 without a login."""
    timeout_seconds: int
    """Long, or a machine with much to do would lose all tasks at once."""

    def labels(self, service: str) -> dict[str, str]:
        """Return labels for Traefik's `service`."""
        prefix = f"traefik.http.services.{service}.loadbalancer.healthcheck"
        return {
            f"{prefix}.path": self.path,
            f"{prefix}.interval": f"{HEALTH_INTERVAL_SECONDS}s",
            f"{prefix}.timeout": f"{self.timeout_seconds}s",
        }


@dataclass(frozen=True, kw_only=True)
class Route:
    """One host name that leads to a service."""

    domain: str
    """Public host name, no scheme."""
    path: str = ""
    """Beginning of the paths that lead to the service; empty for all of them."""
    condition: str = ""
    """Further condition of requests, in Traefik's syntax of rules; empty for none."""
    tag: str
    """Names routers and service in Traefik; unique among the stacks of a swarm."""
    priority: int | None = None
    """Of its routers: the highest that matches takes a request; None: the length of the rule."""
    network: str
    """Overlay network that Traefik reaches the service through."""
    network_label: str = "traefik.swarm.network"
    """Key of the label that names it: one of `NETWORK_LABELS`."""
    constraint_label: str
    """Key of the label that Traefik filters services by."""
    constraint_value: str
    entry_point: str = "http"
    """Traefik's entry point for plain HTTP."""
    https: Https | None = None
    """None: Traefik serves plain HTTP, and nothing else."""
    external_https: bool = False
    """TLS ends before Traefik, so clients use HTTPS where `https` is None."""
    allow: Sequence[str] = ()
    """Addresses and networks (CIDR) that may ask, as Traefik sees them; none: everybody."""
    limit: RateLimit | None = None
    """Limit of requests, before the login, so that it counts wrong passwords too."""
    middlewares: Sequence[str] = ()
    """Further middlewares of the router that serves, in order: before the login, too."""
    cors: Mapping[str, str] = field(default_factory=dict)
    """Values by name of header (`CORS_OPTIONS`): Traefik answers a browser's preflight, which has
    no login."""
    attempts: int = 2
    """Tries of a request until a task takes it. Nothing is sent twice: Traefik tries again only
    what found nobody. Each try may take as long as its `dialTimeout`."""
    health: HealthCheck | None = None
    """None: Swarm alone says which tasks there are; it notices a node that is lost after 20 s."""
    discovery_seconds: int = DISCOVERY_SECONDS
    """Time for which Traefik may go on sending requests to a task that is about to end."""
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Hashes by user: Traefik asks for the login. Whoever may inspect the service sees them."""

    @property
    def name(self) -> str:
        """Name of router, service and middlewares in Traefik."""
        return label_name(self.tag)

    @property
    def rule(self) -> str:
        """Return what requests Traefik's routers take; of two rules the longer one wins."""
        path = f"PathPrefix(`{self.path}`)" if self.path else ""
        return " && ".join(filter(None, [f"Host(`{self.domain}`)", path, self.condition]))

    @property
    def is_secure(self) -> bool:
        """Return whether clients reach it over HTTPS."""
        return self.https is not None or self.external_https

    def to_several_tasks(self, health: HealthCheck | None = None) -> Route:
        """Return the route to a service that answers while one of its tasks is lost."""
        return replace(self, attempts=ATTEMPTS_AT_SEVERAL, health=health)

    def labels(self, port: int, service: str | None = None) -> dict[str, str]:
        """Service labels for Traefik's Swarm provider; the service listens on `port`.

        `service` names one of Traefik's own instead, such as `api@internal`.
        """
        routers = f"traefik.http.routers.{self.name}"
        target = service or self.name
        plain = {
            f"{routers}-http.rule": self.rule,
            f"{routers}-http.entrypoints": self.entry_point,
            f"{routers}-http.service": target,
        }
        serving = f"{routers}-http"
        secure: dict[str, str] = {}
        if self.https:
            plain[f"{routers}-http.middlewares"] = self.https.redirect
            serving = f"{routers}-https"
            secure = {
                f"{serving}.rule": self.rule,
                f"{serving}.service": target,
                **self.https.labels(serving),
            }
        middlewares, definitions = self._middlewares(has_tasks=service is None)
        secure |= definitions
        if middlewares:
            secure[f"{serving}.middlewares"] = ",".join(middlewares)
        if self.health:
            secure |= self.health.labels(self.name)
        if self.priority is not None:
            plain[f"{routers}-http.priority"] = secure[f"{serving}.priority"] = str(self.priority)
        return {
            "traefik.enable": "true",
            self.network_label: self.network,
            self.constraint_label: self.constraint_value,
            f"traefik.http.services.{self.name}.loadbalancer.server.port": str(port),
            **plain,
            **secure,
        }

    def _middlewares(self, *, has_tasks: bool) -> tuple[list[str], dict[str, str]]:
        """Return the middlewares of the router that serves, in order, and labels that make them."""
        middlewares, labels = list(self.middlewares), dict[str, str]()
        if self.limit:
            limit = f"{self.name}-limit"
            labels |= self.limit.labels(limit)
            middlewares.insert(0, limit)
        if self.allow:
            allowed = f"{self.name}-allow"
            key = f"traefik.http.middlewares.{allowed}.ipallowlist.sourcerange"
            labels[key] = ",".join(self.allow)
            middlewares.insert(0, allowed)
        if self.cors:
            cors = f"{self.name}-cors"
            prefix = f"traefik.http.middlewares.{cors}.headers"
            labels |= {f"{prefix}.{CORS_OPTIONS[name]}": text for name, text in self.cors.items()}
            middlewares.append(cors)
        if self.users:
            login = f"{self.name}-auth"
            lines = ",".join(f"{user}:{text}" for user, text in self.users.items())
            labels[f"traefik.http.middlewares.{login}.basicauth.users"] = lines
            middlewares.append(login)
        if has_tasks:
            # For the next replica, while Traefik still knows one that has died.
            retry = f"{self.name}-retry"
            prefix = f"traefik.http.middlewares.{retry}.retry"
            labels[f"{prefix}.attempts"] = str(self.attempts)
            labels[f"{prefix}.initialinterval"] = "100ms"
            middlewares.append(retry)
        return middlewares, labels


def dashboard_labels(dashboard: Route) -> dict[str, str]:
    """Return the labels of Traefik's own dashboard: headers first, the login last."""
    name = dashboard.name
    login, headers = f"{name}-auth", f"{name}-headers"
    middleware = "traefik.http.middlewares"
    route = replace(dashboard, middlewares=(headers, *dashboard.middlewares, login))
    return route.labels(API_PORT, service="api@internal") | {
        f"{middleware}.{login}.basicauth.usersfile": USERS_PATH,
        f"{middleware}.{headers}.headers.stsseconds": str(HSTS_SECONDS),
        f"{middleware}.{headers}.headers.contenttypenosniff": "true",
        f"{middleware}.{headers}.headers.framedeny": "true",
        f"{middleware}.{headers}.headers.referrerpolicy": "same-origin",
    }
