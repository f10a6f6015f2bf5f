"""How Traefik finds the stack: host name, names in Traefik, and where HTTPS comes about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from components.traefik.flags import CERT_RESOLVER
from components.traefik.route import NETWORK_LABELS, Https, Route
from settings import early, rules
from settings.certificate import is_address
from settings.early import HTTPS_MODES, HttpsMode
from settings.kinds import BOOLEAN, Choice, Number
from settings.networks import NETWORK, admit_everybody, is_network
from settings.reader import Reader

OF_TRAEFIK: tuple[HttpsMode, ...] = ("acme", "own")
"""Those in which Traefik itself serves HTTPS."""
ProxyMode = Literal["none", "stack", "main"]
PROXY_MODES: tuple[ProxyMode, ...] = ("none", "stack", "main")
RATE_BURST = 1000
"""Requests at once, where their rate is limited. A push of 200 layers is more than 800."""
MAX_RATE = 100_000


@dataclass(frozen=True, kw_only=True)
class RoutingSettings:
    """Settings by which Traefik finds the stack."""

    proxy_mode: ProxyMode
    """`registry:proxy`. `none`: there is a main Traefik already. `stack`: a Traefik for this stack
    alone. `main`: this stack runs the swarm's main Traefik. Default `none`."""
    domain: str
    """Public host name of the registry, no scheme, no port. Required."""
    shared_domain: bool
    """Another service, such as a UI, answers at this name as well: only the API, below /v2/, is the
    registry's. Default false."""
    tag: str
    """`registry:traefikTag`: names this stack's routers in Traefik. Default: the stack's name."""
    public_tag: str
    """Constraint label's value that the swarm's main Traefik asks for. Default `traefik-public`."""
    constraint_label: str
    """Key of the label that Traefik filters services by. Default `traefik.constraint-label`."""
    entry_point: str
    """Traefik's entry point for plain HTTP. Default `http`, as DockerSwarm.rocks names it."""
    https: HttpsMode
    """`acme`: Traefik obtains certificates. `own`: it is given one. `external`: TLS ends at a proxy
    in front of it. `none`: plain HTTP. Default `acme`; with a `stack` proxy `none`."""
    https_entry_point: str
    """Traefik's entry point for HTTPS. Default `https`."""
    cert_resolver: str
    """Traefik's certificate resolver. Default `le`."""
    redirect_middleware: str
    """Traefik's middleware that sends HTTP to HTTPS. Default `https-redirect`."""
    tls_options: str | None
    """Traefik's TLS options for the registry's name, such as `modern@file`. Default: Traefik's
    default ones; with a `main` proxy some without HTTP/2, which large blobs are slower by."""
    middlewares: tuple[str, ...]
    """Further Traefik middlewares, such as `limit@swarm`, of the routers of registry, mirrors and
    dashboard; before the login."""
    rate_limit: int | None
    """Requests a second from one address that Traefik lets through to registry, mirrors and
    dashboard, and `RATE_BURST` at once; before the login. Default: no limit."""
    trusted_proxies: tuple[str, ...]
    """Addresses and networks of proxies in front of Traefik, whose `X-Forwarded-…` headers hold.
    Default: none."""
    network_label: str
    """Label that tells Traefik the network. Default: DockerSwarm.rocks' `traefik.docker.network`;
    with a proxy of its own `traefik.swarm.network`."""

    @property
    def joins(self) -> bool:
        """Return whether another stack runs the Traefik."""
        return self.proxy_mode == "none"

    @property
    def constraint_value(self) -> str:
        """A Traefik of the stack's own serves only the stack; a main one all that are public."""
        return self.tag if self.proxy_mode == "stack" else self.public_tag


def parse_routing(reader: Reader, stack_name: str) -> RoutingSettings:
    """Return how Traefik finds the stack; note in `reader` what is wrong with it."""
    mode = reader.get("proxy", Choice(PROXY_MODES), "none")
    joins = mode == "none"
    point = rules.TAG if joins else rules.OWN_NAME
    redirect = rules.MIDDLEWARE if joins else rules.OWN_NAME
    default: HttpsMode = "none" if mode == "stack" else "acme"
    https = reader.get("https", Choice(HTTPS_MODES), default)
    return RoutingSettings(
        proxy_mode=mode,
        domain=reader.required("domain", rules.DOMAIN),
        shared_domain=reader.get("sharedDomain", BOOLEAN, False),
        tag=reader.get("traefikTag", rules.TAG, stack_name),
        public_tag=reader.get("publicTag", rules.TAG, "traefik-public"),
        constraint_label=reader.get("constraintLabel", rules.LABEL_KEY, "traefik.constraint-label"),
        entry_point=reader.get("entryPoint", point, Route.entry_point),
        https=https,
        https_entry_point=reader.get("httpsEntryPoint", point, Https.entry_point),
        cert_resolver=reader.get("certResolver", point, CERT_RESOLVER),
        redirect_middleware=reader.get("redirectMiddleware", redirect, Https.redirect),
        tls_options=reader.get("tlsOptions", rules.TLS_OPTIONS),
        middlewares=reader.names("middlewares", rules.MIDDLEWARE),
        rate_limit=reader.get("rateLimit", Number(1, MAX_RATE)),
        trusted_proxies=_trusted_proxies(reader, https, joins=joins),
        network_label=reader.get("networkLabel", Choice(NETWORK_LABELS), NETWORK_LABELS[not joins]),
    )


def _trusted_proxies(reader: Reader, https: HttpsMode, *, joins: bool) -> tuple[str, ...]:
    items = reader.items("trustedProxies", "10.0.0.5")
    if items is None:
        if https == "external" and not joins:
            reason = (
                "is missing: https external needs the address of the proxy that TLS ends at, or"
                " clients would be sent on to http://."
            )
            reader.problem("trustedProxies[0]", reason, "10.0.0.5", path=True)
        return ()
    if joins and not (early.asks_tokens(reader) or reader.has("rateLimit")):
        reason = (
            "needs a proxy of this stack (registry:proxy main or stack), or what counts requests"
            " by their address: registry:auth token, registry:rateLimit."
        )
        reader.remove("trustedProxies", reason)
    proxies = reader.list_at("trustedProxies", items, NETWORK, required=True)
    if admit_everybody(proxies):
        reason = "is everybody: whoever asks could then say which address he has."
        reader.problem("trustedProxies", reason, "10.0.0.5", path=True)
    # What is wrong is noted.
    return tuple(filter(is_network, proxies))


def check_domains(reader: Reader, https: HttpsMode, domains: Sequence[str]) -> None:
    """Note in `reader` which host names can't be served, or are there twice."""
    for domain in domains:
        certified = rules.PUBLIC_DOMAIN.admits(domain) or not rules.DOMAIN.admits(domain)
        if https == "acme" and not certified:
            reason = (
                f"is acme, and no authority would certify {domain}: it isn't a name with a dot."
            )
            reader.problem("https", reason, "none")
        if re.fullmatch(r"[0-9.]+", domain) and not is_address(domain):
            reader.problem("domain", f"is {domain}: that is no address.", rules.DOMAIN.sample)
        if domains.count(domain) > 1:
            reader.problem("mirrors", f"have {domain} more than once, or the registry has it.")
            return
