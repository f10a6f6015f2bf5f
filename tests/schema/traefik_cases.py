"""Settings of a stack with a Traefik of its own, made at random, and what they become."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from components.distribution.config import PORT
from components.traefik import dynamic
from components.traefik import flags as proxy_config
from components.traefik.flags import SOCKET
from settings import Settings, parse
from settings.proxy_schema import SCHEMA_FILE
from testing.certificates import CertificatePair

from .samples import Samples

Case = dict[str, Any]
"""Settings by key, without namespace."""
DOMAIN = "registry.example.com"
PAIR = CertificatePair.make("*.example.com", "example.com")
SCHEMA = json.loads(SCHEMA_FILE.read_text())
OPTIONS = Samples(
    # A daemon elsewhere that Traefik waits for, and plugins that it fetches as it starts.
    left_out={
        *("spiffe", "experimental.plugins", "experimental.localplugins"),
        "certificatesresolvers.*.tailscale",
    },
    texts={
        "address": [":9000", ":9001/udp", "127.0.0.1:9002", ":443", ":99999", "10.9.8.7:90", "x"],
        "trustedips": [["10.0.0.0/8"], "10.0.0.1,::1", ["x"], ["0.0.0.0/0"]],
        "insecure": [False, True],
        "storage": ["/certificates/other.json", "/certificates/", "acme.json"],
        "to": ["https", "a", "nobody", ":443"],
        "defaultrulesyntax": ["v3", "v2", "v4"],
        "level": ["INFO", "debug", "loud"],
        "samplerate": [0.5, "1", 2],
    },
    names=("a", "Other", "http", "le", "ping", "b.c", "b c"),
    rare=60,
)
NAMES = st.sampled_from(
    ["http", "https", "web", "web2", "ping", "traefik", "web.secure", "Web", ""]
)
NETWORKS = st.lists(
    st.sampled_from(["10.0.0.0/8", "::1", "192.0.2.1", "10.0.0.1/8", "0.0.0.0/0", "x", 5]),
    max_size=3,
)
PORTS = st.sampled_from(["80", "8081", "443", "0", "70000", "x", "8090"])
TAGS = st.sampled_from(["registry-com", "registry.com", "Registry_1", "a b", "`", "x" * 63, "1"])
MIDDLEWARES = st.lists(
    st.sampled_from(["limit@swarm", "limit", "a b", "limit@file", "a,b"]), max_size=2
)
MIRROR: st.SearchStrategy[Case] = st.fixed_dictionaries(
    {
        "upstream": st.just("https://registry-1.docker.io"),
        "domain": st.sampled_from(["mirror.example.com", "192.0.2.1", "mirror", DOMAIN]),
    },
    optional={"allow": NETWORKS},
)
LOGINS = st.dictionaries(
    st.sampled_from(["admin", "jane.doe", "a,b", "#c"]),
    st.sampled_from(["$apr1$abcdefgh$" + "x" * 22, "$2y$10$" + "x" * 53, "{SHA}" + "x" * 28, "x"]),
    max_size=2,
)


def cases(options: bool = True) -> st.SearchStrategy[Case]:
    """Return settings: most of them are right each by itself, some are not.

    Without `options` they have no `proxyConfig`.
    """
    some = st.fixed_dictionaries(
        {
            "stackName": st.just("registry-com"),
            "domain": st.sampled_from([DOMAIN, DOMAIN, DOMAIN, "192.0.2.1", "registry"]),
            "proxy": st.sampled_from(["main", "stack"]),
            "https": st.sampled_from(["acme", "own", "external", "none"]),
        },
        optional={
            "entryPoint": NAMES,
            "httpsEntryPoint": NAMES,
            "certResolver": NAMES,
            "redirectMiddleware": NAMES,
            "traefikTag": TAGS,
            "publicTag": TAGS,
            "constraintLabel": st.sampled_from(
                ["traefik.constraint-label", "traefik.http.x", "traefik.docker.x", "x.y", "A"]
            ),
            "networkLabel": st.sampled_from(["traefik.docker.network", "traefik.swarm.network"]),
            "tlsOptions": st.sampled_from(["default", "modern@file", "a b"]),
            "middlewares": MIDDLEWARES,
            "rateLimit": st.sampled_from(["1", "5000", "0", "x"]),
            "sharedDomain": st.sampled_from(["true", "false", "yes"]),
            "trustedProxies": NETWORKS,
            "proxyHttpPort": PORTS,
            "proxyHttpsPort": PORTS,
            "proxyDashboardPort": PORTS,
            "proxyMetrics": st.sampled_from(["true", "false", "x"]),
            "dashboardDomain": st.sampled_from(["traefik.example.com", DOMAIN, "traefik"]),
            "acmeEmail": st.sampled_from(["me@example.com", "me"]),
            "acmeServer": st.sampled_from(["https://ca.example.com/dir", "http://ca", "x"]),
            "acmeChallenge": st.sampled_from(["tls", "http", "dns:cloudflare", "dns:", "smtp"]),
            "mirrors": st.dictionaries(st.sampled_from(["hub", "Hub"]), MIRROR, max_size=1),
            "hashedPasswords": LOGINS,
            **({"proxyConfig": OPTIONS.maps(SCHEMA)} if options else {}),
        },
    )
    # Most settings of most stacks aren't set: else hardly a case would be right as a whole.
    kept = (
        st.sets(st.integers(0, 40), max_size=8)
        if options
        else st.sets(st.integers(0, 22), min_size=3, max_size=8)
    )
    return st.tuples(some, kept).map(_thinned)


def _thinned(pair: tuple[Case, set[int]]) -> Case:
    case, kept = pair
    required = ("stackName", "domain", "proxy", "https")
    left = {
        key: value
        for index, (key, value) in enumerate(sorted(case.items()))
        if key in required or key == "proxyConfig" or index in kept
    }
    if left["https"] == "external":
        left.setdefault("trustedProxies", ["10.0.0.5"])
    if left["https"] == "own":
        left |= {"certificate": PAIR.chain, "certificateKey": PAIR.key}
    return left


def parsed(case: Case) -> Settings:
    """Return the settings of a case; `RunError` when they are refused."""
    values = {
        f"registry:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in case.items()
    }
    secret = ("registry:certificateKey", "registry:hashedPasswords")
    return parse(values, lambda key: key in secret, "prod")


def flags_of(settings: Settings, endpoint: str = SOCKET) -> list[str]:
    """Return the flags of the stack's Traefik."""
    proxy = settings.proxy
    assert proxy is not None
    https = settings.routes.registry.https
    options = proxy_config.options(
        endpoint=endpoint,
        network=settings.network.name,
        constraint=(settings.routing.constraint_label, settings.routing.constraint_value),
        entry_point=settings.routing.entry_point,
        https_entry_point=https.entry_point if https else None,
        acme=proxy.acme,
        dashboard=settings.dashboard is not None,
        insecure_api=proxy.dashboard_port is not None,
        metrics=proxy.metrics,
        trusted_proxies=proxy.trusted_proxies,
        config=proxy.config,
    )
    return proxy_config.flags(proxy_config.without_queries(options))


def dynamic_of(settings: Settings) -> dict[str, Any]:
    """Return the content of the file beside the flags."""
    https = settings.routes.registry.https
    return dynamic.content(
        settings.routing.entry_point,
        https.entry_point if https else None,
        own_certificate=settings.routing.https == "own",
        registries_only=settings.routing.proxy_mode == "stack",
    )


def labels_of(settings: Settings) -> Mapping[str, Mapping[str, str]]:
    """Return the labels of the services that a stack routes to, by service."""
    routes = {"registry": settings.routes.registry}
    routes |= {f"mirror-{each.name}": settings.routes.mirror(each) for each in settings.mirrors}
    return {name: route.labels(PORT) for name, route in routes.items()}
