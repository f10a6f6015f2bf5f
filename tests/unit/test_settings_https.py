"""HTTPS, routers and names, as settings ask for them."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.traefik.route import RateLimit

from .shared_settings import (
    APR1,
    CA,
    EXTERNAL,
    HMAC,
    MIRROR,
    OWN_PAIR,
    SECRET,
    settings,
)


def test_tls_that_ends_at_a_proxy_in_front_is_https_for_clients() -> None:
    behind = settings(proxy="stack", proxyHttpPort="8081", dashboardDomain="t.x.com", **EXTERNAL)
    assert behind.routes.url == "https://registry.example.com"
    assert behind.routes.dashboard_url == "https://t.x.com/dashboard/"
    assert behind.routes.registry.https is None
    assert behind.routes.registry.is_secure
    assert behind.proxy
    assert behind.proxy.trusted_proxies == ("10.0.0.5",)
    assert behind.proxy.acme is None
    other_port = settings(proxy="stack", proxyHttpsPort="8443", **EXTERNAL)
    assert other_port.routes.url == "https://registry.example.com:8443"
    # That one is the main Traefik's to trust.
    assert settings(https="external").routes.url == "https://registry.example.com"


def test_the_key_of_an_external_account_is_a_secret() -> None:
    values: Any = {"proxy": "main", "acmeServer": CA, "acmeEabKid": "kid", "acmeEabHmac": HMAC}
    with_one = settings(**values)
    assert with_one.proxy
    assert with_one.proxy.acme
    assert with_one.proxy.acme.account
    assert with_one.proxy.acme.account.key_id == "kid"
    assert HMAC not in repr(with_one)
    with pytest.raises(pulumi.RunError, match="acmeEabHmac is in plain text") as error:
        settings((), **values)
    assert HMAC not in str(error.value)


@pytest.mark.parametrize(
    ("headers", "cors"),
    [
        ({}, {}),
        ({"X-Frame-Options": ["DENY"]}, {}),
        (
            {
                "access-control-allow-origin": ["https://ui.example.com"],
                "Access-Control-Allow-Methods": ["HEAD", "GET"],
                "X-Frame-Options": ["DENY"],
            },
            {
                "Access-Control-Allow-Origin": "https://ui.example.com",
                "Access-Control-Allow-Methods": "HEAD,GET",
            },
        ),
    ],
)
def test_headers_for_pages_of_other_sites_are_for_a_preflight_too(
    headers: dict[str, Any], cors: dict[str, str]
) -> None:
    with_some = settings(config={"http": {"headers": headers}}, mirrors={"hub": MIRROR})
    assert with_some.routes.registry.cors == cors
    assert not with_some.routes.mirror(with_some.mirrors[0]).cors


def test_a_certificate_is_asked_for_with_its_key() -> None:
    with pytest.raises(pulumi.RunError, match="certificate is missing") as error:
        settings(proxy="main", https="own")
    command = "pulumi config set --stack prod --secret registry:certificateKey < key.pem"
    assert command in str(error.value)


@pytest.mark.parametrize("key", ["proxySecrets", "hashedPasswords"])
def test_what_must_be_secret_is_refused_in_plain_text(key: str) -> None:
    values = {key: {"TOKEN": APR1}}
    with pytest.raises(pulumi.RunError, match=f"{key}.TOKEN is in plain text") as error:
        settings((), proxy="main", **values)
    assert APR1 not in str(error.value)


def test_whether_policies_hold_is_no_secret() -> None:
    with pytest.raises(pulumi.RunError, match="policy is a secret, and can't stay one"):
        settings(("registry:policy",), policy="mandatory")


@pytest.mark.parametrize("key", ["volumeOptions", "proxyConfig", "proxyEnvironment"])
def test_what_cant_be_kept_secret_is_refused_as_one(key: str) -> None:
    with pytest.raises(pulumi.RunError, match=f"{key} is a secret, and can't stay one") as error:
        settings((f"registry:{key}",), proxy="main", **{key: {"O": SECRET}})
    assert SECRET not in str(error.value)


def test_a_key_in_plain_text_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match="certificateKey is in plain text"):
        settings(proxy="main", https="own", certificate=OWN_PAIR.chain, certificateKey=OWN_PAIR.key)


def test_https_is_the_default_but_for_a_proxy_of_the_stacks_own() -> None:
    assert settings(proxy="main").routing.https == settings().routing.https == "acme"
    plain = settings(proxy="stack")
    assert plain.routing.https == "none"
    assert plain.routes.registry.https is None
    assert plain.routes.url == "http://registry.example.com"
    assert (
        settings(proxy="main", proxyHttpsPort="8443").routes.url
        == "https://registry.example.com:8443"
    )


def test_blobs_and_pages_get_the_tls_options_that_suit_them() -> None:
    def options(**changes: Any) -> list[str | None]:
        plain = settings(**changes)
        routes = [plain.routes.registry, *filter(None, [plain.routes.dashboard])]
        return [route.https.options for route in routes if route.https]

    assert options(proxy="main", dashboardDomain="t.example.com") == ["registry@file", None]
    # Another Traefik may have no options by that name, and would drop the router.
    assert options() == [None]
    assert options(tlsOptions="modern@file") == ["modern@file"]
    # Its default options are those of registries.
    assert options(proxy="stack", https="acme") == [None]
    # A proxy in front may send no name in TLS, or its own.
    assert options(proxy="main", trustedProxies=["10.0.0.5"]) == [None]


def test_a_name_that_a_ui_has_too_leads_to_the_registry_below_v2_alone() -> None:
    shared = settings(proxy="main", sharedDomain="true", mirrors={"hub": MIRROR})
    assert shared.routes.registry.rule == "Host(`registry.example.com`) && PathPrefix(`/v2/`)"
    # Two routers of one name have to have the same TLS options.
    assert shared.routes.registry.https
    assert shared.routes.registry.https.options is None
    mirror = shared.routes.mirror(shared.mirrors[0])
    assert mirror.rule == "Host(`mirror.example.com`)"
    assert mirror.https
    assert mirror.https.options == "registry@file"
    assert settings().routes.registry.rule == "Host(`registry.example.com`)"


def test_a_rate_limit_is_on_each_router_with_a_login() -> None:
    limited = settings(
        proxy="main", dashboardDomain="t.example.com", middlewares=["office@swarm"],
        mirrors={"hub": MIRROR}, rateLimit="5000", trustedProxies=["10.0.0.5"],
    )  # fmt: skip
    assert limited.routes.dashboard
    routes = (
        limited.routes.registry,
        limited.routes.dashboard,
        limited.routes.mirror(limited.mirrors[0]),
    )
    for route in routes:
        assert route.middlewares == ("office@swarm",)
        assert route.limit == RateLimit(average=5000, burst=5000, trusted_proxies=("10.0.0.5",))
    # A push of 200 layers is more than 800 requests.
    limit = settings(rateLimit="100").routes.registry.limit
    assert limit == RateLimit(average=100, burst=1000)
    assert settings().routes.registry.limit is None


def test_a_dashboard_is_routed_at_its_own_name() -> None:
    with_one = settings(proxy="main", dashboardDomain="t.example.com", traefikTag="registry.com")
    assert with_one.routes.dashboard
    assert with_one.routes.dashboard.name == "registry-com-dashboard"
    assert with_one.routes.dashboard_url == "https://t.example.com/dashboard/"
    assert settings(proxy="main").routes.dashboard is None
