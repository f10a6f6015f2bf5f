"""The labels by which Traefik finds a service."""

from __future__ import annotations

from dataclasses import replace

from components import (
    Https,
    TokenServerOptions,
)
from components.token_server import server_labels
from components.traefik.route import RateLimit

from .conftest import Deploy
from .shared_components import (
    ROUTE,
    labels,
    proxy,
    registry,
)

RETRY = {
    "traefik.http.middlewares.registry-com-retry.retry.attempts": "2",
    "traefik.http.middlewares.registry-com-retry.retry.initialinterval": "100ms",
}


def test_behind_a_main_traefik_the_labels_are_those_of_dockerswarm_rocks() -> None:
    route = replace(ROUTE, network_label="traefik.docker.network", https=Https())
    assert route.labels(5000) == {
        "traefik.enable": "true",
        "traefik.docker.network": "traefik-public",
        "traefik.constraint-label": "traefik-public",
        "traefik.http.routers.registry-com-http.rule": "Host(`registry.example.com`)",
        "traefik.http.routers.registry-com-http.entrypoints": "http",
        "traefik.http.routers.registry-com-http.service": "registry-com",
        "traefik.http.routers.registry-com-http.middlewares": "https-redirect",
        "traefik.http.routers.registry-com-https.rule": "Host(`registry.example.com`)",
        "traefik.http.routers.registry-com-https.entrypoints": "https",
        "traefik.http.routers.registry-com-https.service": "registry-com",
        "traefik.http.routers.registry-com-https.tls": "true",
        "traefik.http.routers.registry-com-https.tls.certresolver": "le",
        "traefik.http.routers.registry-com-https.middlewares": "registry-com-retry",
        **RETRY,
        "traefik.http.services.registry-com.loadbalancer.server.port": "5000",
    }


def test_tls_options_are_named_where_they_arent_everybodys() -> None:
    labels = replace(ROUTE, https=Https(options="registry@file")).labels(5000)
    assert labels["traefik.http.routers.registry-com-https.tls.options"] == "registry@file"


def test_a_login_that_traefik_asks_for_guards_the_router_that_serves() -> None:
    users = {"admin": "$apr1$a$b", "ci": "$apr1$c$d"}
    for https, router in ((None, "http"), (Https(), "https")):
        labels = replace(ROUTE, https=https, users=users, middlewares=("limit@swarm",)).labels(5000)
        serving = labels[f"traefik.http.routers.registry-com-{router}.middlewares"]
        # A rate limit before the login counts wrong passwords too.
        assert serving == "limit@swarm,registry-com-auth,registry-com-retry"
        users_label = "traefik.http.middlewares.registry-com-auth.basicauth.users"
        assert labels[users_label] == "admin:$apr1$a$b,ci:$apr1$c$d"


def test_a_rate_limit_counts_before_the_login_who_may_ask_at_all() -> None:
    limit = RateLimit(average=100, burst=1000)
    route = replace(ROUTE, limit=limit, allow=("10.0.0.0/8",), users={"admin": "$apr1$a$b"})
    labels = replace(route, middlewares=("office@swarm",)).labels(5000)
    serving = labels["traefik.http.routers.registry-com-http.middlewares"]
    first, last = "registry-com-allow,registry-com-limit", "registry-com-auth,registry-com-retry"
    assert serving == f"{first},office@swarm,{last}"
    prefix = "traefik.http.middlewares.registry-com-limit.ratelimit"
    assert (labels[f"{prefix}.average"], labels[f"{prefix}.burst"]) == ("100", "1000")
    assert not any("sourcecriterion" in key for key in labels)
    fronted = replace(limit, trusted_proxies=("10.0.0.5", "10.1.0.0/16")).labels("x")
    prefix = "traefik.http.middlewares.x.ratelimit"
    assert fronted[f"{prefix}.sourcecriterion.ipstrategy.excludedips"] == "10.0.0.5,10.1.0.0/16"


def test_while_no_token_server_runs_its_path_is_answered_as_away(deploy: Deploy) -> None:
    for https, scheme in ((None, "http"), (Https(), "https")):
        route = replace(ROUTE, https=https, path="/v2/", limit=RateLimit(average=1, burst=1))
        recorder = registry(deploy, route=route, htpasswd=None, jwks="{}")
        fallback = labels(recorder.of_type("Service")["registry-service"])
        router = f"traefik.http.routers.registry-com-no-token-{scheme}"
        server = server_labels([route], TokenServerOptions())
        rule = server[f"traefik.http.routers.registry-com-token-{scheme}.rule"]
        assert fallback[f"{router}.rule"] == rule
        # After the token server's own router, before the registry's: lengths of their rules.
        assert len(route.rule) < int(fallback[f"{router}.priority"]) < len(rule)
        service = fallback[f"{router}.service"]
        assert fallback[f"traefik.http.services.{service}.loadbalancer.server.port"] == "1"
        middlewares = fallback[f"{router}.middlewares"].split(",")
        assert middlewares == [f"{service}-retry-after", f"{service}-retry"]
        assert {key for key in fallback if ".ratelimit." in key} == {
            f"traefik.http.middlewares.registry-com-limit.ratelimit.{part}"
            for part in ("average", "burst")
        }
    basic = labels(registry(deploy).of_type("Service")["registry-service"])
    assert not any("no-token" in key for key in basic)


def test_traefik_looks_for_replicas_that_are_away_and_tries_several(deploy: Deploy) -> None:
    one, three = (
        labels(
            registry(deploy, replicas=replicas, htpasswd=None, jwks="{}").of_type("Service")[
                "registry-service"
            ]
        )
        for replicas in (1, 3)
    )
    health = "traefik.http.services.registry-com.loadbalancer.healthcheck"
    # The router for requests to no token server has no task that could be well.
    assert {key for key in three if one.get(key) != three[key]} == {
        "traefik.http.middlewares.registry-com-retry.retry.attempts",
        *(f"{health}.{option}" for option in ("path", "interval", "timeout")),
    }
    assert one.keys() <= three.keys()


def test_a_browsers_preflight_is_answered_before_the_login() -> None:
    cors = {"Access-Control-Allow-Origin": "https://ui.example.com", "Access-Control-Max-Age": "60"}
    labels = replace(ROUTE, cors=cors, users={"admin": "$apr1$a$b"}).labels(5000)
    serving = labels["traefik.http.routers.registry-com-http.middlewares"]
    assert serving == "registry-com-cors,registry-com-auth,registry-com-retry"
    prefix = "traefik.http.middlewares.registry-com-cors.headers"
    assert labels[f"{prefix}.accesscontrolalloworiginlist"] == "https://ui.example.com"
    assert labels[f"{prefix}.accesscontrolmaxage"] == "60"


def test_a_registry_behind_tls_that_ends_before_traefik_insists_on_https() -> None:
    assert not replace(ROUTE).is_secure
    outside = replace(ROUTE, external_https=True)
    assert outside.labels(5000) == ROUTE.labels(5000), "Traefik itself serves plain HTTP"
    assert outside.is_secure


def test_the_redirect_is_on_traefiks_own_service_which_outlives_the_registrys_tasks(
    deploy: Deploy,
) -> None:
    redirect = "traefik.http.middlewares.https-redirect.redirectscheme"
    of_registry = replace(ROUTE, https=Https()).labels(5000)
    assert not any(key.startswith(redirect) for key in of_registry)
    values = labels(proxy(deploy, https=Https(), https_port=8443))
    assert values["traefik.enable"] == "true"
    assert values["traefik.constraint-label"] == "tag"
    assert values["traefik.http.routers.s-redirect.middlewares"] == "https-redirect"
    # Without these Traefik would skip the labels, or make a router of its own.
    assert values["traefik.http.routers.s-redirect.service"] == "s-redirect"
    assert values["traefik.http.services.s-redirect.loadbalancer.server.port"] == "80"
    assert {key: value for key, value in values.items() if key.startswith(redirect)} == {
        f"{redirect}.scheme": "https",
        f"{redirect}.permanent": "true",
        f"{redirect}.port": "8443",
    }


def test_without_https_the_registry_is_routed_by_its_domain_and_nothing_else(
    deploy: Deploy,
) -> None:
    service = registry(deploy).of_type("Service")["registry-service"]
    assert labels(service) == {
        "com.docker.stack.namespace": "registry-com",
        "traefik.enable": "true",
        "traefik.swarm.network": "traefik-public",
        "traefik.constraint-label": "traefik-public",
        "traefik.http.routers.registry-com-http.rule": "Host(`registry.example.com`)",
        "traefik.http.routers.registry-com-http.entrypoints": "http",
        "traefik.http.routers.registry-com-http.service": "registry-com",
        "traefik.http.routers.registry-com-http.middlewares": "registry-com-retry",
        **RETRY,
        "traefik.http.services.registry-com.loadbalancer.server.port": "5000",
    }
    assert service["endpointSpec"] == {"mode": "dnsrr"}
    assert service["taskSpec"]["placement"]["constraints"] == ["node.labels.x == true"]
