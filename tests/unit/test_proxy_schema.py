"""`registry:proxyConfig`: what Traefik wouldn't start with, or what would break the deployment."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from components.proxy import TRAEFIK_IMAGE
from settings import Settings, parse

GOOD = {
    "registry:stackName": "registry-com",
    "registry:domain": "registry.example.com",
    "registry:proxy": "main",
}


def settings_of(config: Any, **others: str) -> Settings:
    values = GOOD | {f"registry:{key}": value for key, value in others.items()}
    return parse(values | {"registry:proxyConfig": json.dumps(config)}, lambda _: False, "prod")


def entry_points(**options: Any) -> dict[str, Any]:
    return {"entryPoints": {"http": options}}


def of_resolver(**acme: Any) -> dict[str, Any]:
    return {"certificatesResolvers": {"dns": {"acme": acme}}}


# Path that the error must name as the setting has it, what it must say, and the configuration.
WRONG: list[tuple[str, str, Any]] = [
    ("acessLog", "Did you mean accesslog", {"acessLog": True}),
    ("entryPoints.http.adress", "Traefik takes", entry_points(adress=":80")),
    ("log", "no value", {"log": None}),
    ("log.maxAge", "whole number", {"log": {"maxAge": "x"}}),
    ("metrics.prometheus.addServicesLabels", "true or false",
     {"metrics": {"prometheus": {"addServicesLabels": "yes"}}}),
    ("serversTransport.forwardingTimeouts.dialTimeout", "duration",
     {"serversTransport": {"forwardingTimeouts": {"dialTimeout": "x"}}}),
    ("metrics", "empty map", {"metrics": {}}),
    ("tracing.safeQueryParams", "empty list", {"tracing": {"safeQueryParams": []}}),
    ('entryPoints["a.b"]', "a name", {"entryPoints": {"a.b": {"address": ":90"}}}),
    ("api", "owns it", {"api": {"insecure": True}}),
    ("entryPoints.ping", "owns it", {"entryPoints": {"ping": {"address": ":1"}}}),
    ("entryPoints.http.address", "published", entry_points(address=":8080")),
    ("entryPoints.ssh.address", "is missing", {"entryPoints": {"ssh": {"asDefault": False}}}),
    ("entryPoints.ssh.address", ":PORT", {"entryPoints": {"ssh": {"address": "22"}}}),
    ("entryPoints.ssh.address", "https has", {"entryPoints": {"ssh": {"address": ":443"}}}),
    ("entryPoints.http.http.redirections.entryPoint.to", "an entry point",
     entry_points(http={"redirections": {"entryPoint": {"to": "websecure"}}})),
    # Whoever asks could say which address he has.
    ("entryPoints.http.forwardedHeaders.insecure", "trustedProxies[0]",
     entry_points(forwardedHeaders={"insecure": True})),
    ("entryPoints.http.forwardedHeaders.insecure", "trustedProxies[0]",
     entry_points(forwardedHeaders={"insecure": "true"})),
    ("entryPoints.http.proxyProtocol.insecure", "trustedProxies[0]",
     entry_points(proxyProtocol={"insecure": True})),
    ("entryPoints.http.forwardedHeaders.trustedIPs", "everybody",
     entry_points(forwardedHeaders={"trustedIPs": ["0.0.0.0/0"]})),
    ("entryPoints.http.proxyProtocol.trustedIPs", "everybody",
     entry_points(proxyProtocol={"trustedIPs": "::/0"})),
    # Certificates would be lost with each task.
    ("certificatesResolvers.le.acme.storage", "lost",
     {"certificatesResolvers": {"le": {"acme": {"storage": "/acme.json"}}}}),
    ("certificatesResolvers.dns.acme.storage", "is missing",
     of_resolver(dnsChallenge={"provider": "cloudflare"})),
    ("certificatesResolvers.dns.acme.storage", "/certificates/dns.json",
     of_resolver(storage="/dns.json")),
    ("certificatesResolvers.le.tailscale", "acme",
     {"certificatesResolvers": {"le": {"tailscale": {}}}}),
    ("metrics.statsd.pushInterval", "more than 0", {"metrics": {"statsd": {"pushInterval": "0s"}}}),
    ("core.defaultRuleSyntax", "v3", {"core": {"defaultRuleSyntax": "v4"}}),
    ("log.otlp", "experimental.otlpLogs true", {"log": {"otlp": True}}),
    ("serversTransport.spiffe", "workloadApiAddr", {"serversTransport": {"spiffe": True}}),
    ("tracing.otlp.grpc.insecure", "tls",
     {"tracing": {"otlp": {"grpc": {"insecure": True, "tls": {"ca": "x"}}}}}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "problem", "config"), WRONG, ids=lambda value: str(value)[:60])
def test_what_traefik_would_not_take_is_one_line_of_its_own(
    path: str, problem: str, config: Any
) -> None:
    with pytest.raises(pulumi.RunError) as raised:
        settings_of(config)
    message = str(raised.value)
    assert message.startswith("One setting of stack prod is wrong"), message
    assert f"  - registry:proxyConfig.{path} " in message
    assert problem in message
    assert f"registry:proxyConfig.{path}" in message.rpartition("pulumi config ")[2]


def test_what_traefik_takes_stays_as_it_is() -> None:
    config = {
        "accessLog": {"format": "json", "filters": {"statusCodes": ["400-499"], "minDuration": 5}},
        "entryPoints": {
            "http": {"forwardedHeaders": {"trustedIPs": "10.0.0.0/8,::1"}},
            "https": {"transport": {"respondingTimeouts": {"readTimeout": "12h"}}, "http3": {}},
            "ssh": {"address": ":2222"},
            "dns": {"address": ":53/udp"},
        },
        "certificatesResolvers": {
            "le": {"acme": {"certificatesDuration": "2160", "keyType": "EC256"}},
            "dns": {
                "acme": {
                    "storage": "/certificates/dns.json",
                    "dnsChallenge": {"provider": "cloudflare"},
                }
            },
        },
        "metrics": {"prometheus": {"buckets": [0.1, "1"]}},
    }
    settings = settings_of(config)
    assert settings.proxy
    assert list(settings.proxy.config) == list(config)


@pytest.mark.parametrize("https", ["own", "none"])
def test_a_resolver_needs_the_volume_that_comes_with_acme(https: str) -> None:
    config = of_resolver(storage="/certificates/dns.json", dnsChallenge={"provider": "cloudflare"})
    with pytest.raises(pulumi.RunError, match="needs https acme"):
        settings_of(config, https=https)


@pytest.mark.parametrize("key", ["entryPoint", "httpsEntryPoint"])
@pytest.mark.parametrize("name", ["ping", "metrics", "traefik"])
def test_an_entry_point_has_no_name_that_traefik_needs(key: str, name: str) -> None:
    with pytest.raises(pulumi.RunError, match=f"registry:{key} is '{name}'"):
        settings_of({}, **{key: name})


def test_entry_points_differ() -> None:
    with pytest.raises(pulumi.RunError, match="registry:httpsEntryPoint is 'web'"):
        settings_of({}, entryPoint="web", httpsEntryPoint="web")


def test_shared_settings_of_a_traefik_that_there_is_none_of_are_no_obstacle() -> None:
    settings_of({"acessLog": True}, proxy="none")


def test_a_dns_provider_is_one_that_traefik_knows() -> None:
    settings_of({}, https="acme", acmeChallenge="dns:acme-dns")
    with pytest.raises(pulumi.RunError, match=r"acmeChallenge is 'dns:cloudflair'.*cloudflare\?"):
        settings_of({}, https="acme", acmeChallenge="dns:cloudflair")


def test_what_another_version_may_know_is_a_warning() -> None:
    newer = {"https": "acme", "acmeChallenge": "dns:newcomer", "proxyImage": "traefik:v3.9.0"}
    settings = settings_of({"log": {"colour": "red"}}, **newer)
    assert "registry:proxyConfig.log.colour isn't checked" in "\n".join(settings.warnings)
    same = {"proxyImage": f"mirror.example.com/{TRAEFIK_IMAGE}"}
    with pytest.raises(pulumi.RunError, match=r"proxyConfig\.log\.colour"):
        settings_of({"log": {"colour": "red"}}, **same)
