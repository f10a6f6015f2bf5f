"""What is wrong with a setting, each with the words that name it."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from settings import parse

from .program import raw
from .shared_settings import (
    APR1,
    BROKEN,
    BROKEN_KEY,
    CA,
    EXTERNAL,
    GOOD,
    HMAC,
    ISSUER,
    MIRROR,
    OWN_PAIR,
    PRIVATE,
    PULL,
    S3,
    SECRET,
    settings,
)

GCS = {"bucket": "b", "credentials": {"private_key": SECRET}}


# Key that the error must name, and the settings that make it.
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("registry:stackName", {"stackName": "Registry"}),
    ("registry:stackName", {"stackName": "registry.com"}),
    ("registry:stackName", {"stackName": ""}),
    ("registry:stackName", {"stackName": "x" * 41}),
    ("registry:domain", {"domain": "https://registry.example.com"}),
    ("registry:domain", {"domain": "registry.example.com:5000"}),
    ("registry:domain", {"domain": "registry.example.com/v2"}),
    ("registry:domain", {"domain": "Registry.Example.com"}),
    ("registry:domain", {"domain": "registry"}),
    ("registry:domain", {"domain": "a`) || Host(`b.com"}),
    ("registry:traefikTag", {"traefikTag": "a b"}),
    ("registry:publicTag", {"publicTag": "`"}),
    ("registry:constraintLabel", {"constraintLabel": "Not A Label"}),
    ("registry:constraintLabel", {"constraintLabel": "traefik.swarm.network"}),
    ("registry:constraintLabel", {"constraintLabel": "traefik.enable"}),
    ("registry:entryPoint", {"entryPoint": "web,websecure"}),
    ("registry:middlewares[0]", {"middlewares": ["a b"]}),
    ("registry:middlewares", {"middlewares": "limit"}),
    ("registry:network", {"network": "-x"}),
    ("registry:networks", {"networks": "storage"}),
    ("registry:networks[0]", {"networks": ["a b"]}),
    ("registry:networks[1]", {"networks": ["storage", "traefik-public"]}),
    ("registry:createNetwork", {"createNetwork": "yes"}),
    ("registry:encryptNetwork", {"encryptNetwork": "true"}),
    ("registry:proxy", {"proxy": "nginx"}),
    ("registry:proxyImage", {"proxyImage": "traefik"}),
    ("registry:proxyHttpPort", {"proxy": "stack", "proxyHttpPort": "70000"}),
    ("registry:proxyHttpPort", {"proxy": "stack", "proxyHttpPort": "0"}),
    ("registry:proxyDashboardPort", {"proxy": "stack", "proxyDashboardPort": "80"}),
    ("registry:proxyDashboardPort", {"proxy": "none", "proxyDashboardPort": "8090"}),
    ("registry:proxyDashboardPort", {"proxy": "main", "proxyDashboardPort": "8090"}),
    ("registry:domain", {"domain": "10.0.0.256", "proxy": "stack"}),
    ("registry:trustedProxies", {"trustedProxies": ["10.0.0.5"]}),
    ("registry:trustedProxies[0]", {"proxy": "stack", "https": "external"}),
    ("registry:trustedProxies[0]", {"proxy": "stack", "trustedProxies": ["10.0.0.5/8"]}),
    ("registry:trustedProxies", {"proxy": "stack", "trustedProxies": ["0.0.0.0/0"]}),
    ("registry:https", {"proxy": "stack", **EXTERNAL, "certificate": ISSUER.chain}),
    ("registry:acmeEabHmac", {"proxy": "main", "acmeServer": CA, "acmeEabKid": "k"}),
    ("registry:acmeEabKid", {"proxy": "main", "acmeServer": CA, "acmeEabHmac": HMAC}),
    (
        "registry:acmeEabHmac",
        {"proxy": "main", "acmeServer": CA, "acmeEabKid": "k", "acmeEabHmac": f"{SECRET}!"},
    ),
    (
        # ACME's HS256 takes no shorter one.
        "registry:acmeEabHmac",
        {"proxy": "main", "acmeServer": CA, "acmeEabKid": "k", "acmeEabHmac": HMAC[:42]},
    ),
    ("registry:acmeEabKid", {"proxy": "main", "acmeEabKid": "k", "acmeEabHmac": HMAC}),
    ("registry:https", {"https": "yes"}),
    ("registry:https", {"domain": "localhost"}),
    ("registry:https", {"domain": "10.0.0.1", "https": "acme"}),
    ("registry:httpsEntryPoint", {"proxy": "main", "httpsEntryPoint": "webSecure"}),
    ("registry:certResolver", {"certResolver": "l e"}),
    ("registry:redirectMiddleware", {"proxy": "main", "redirectMiddleware": "redirect@file"}),
    ("registry:tlsOptions", {"tlsOptions": "no http2"}),
    ("registry:networkLabel", {"networkLabel": "traefik.network"}),
    ("registry:acmeEmail", {"proxy": "main", "acmeEmail": "admin"}),
    ("registry:acmeServer", {"proxy": "main", "acmeServer": "http://ca.example.com"}),
    ("registry:acmeChallenge", {"proxy": "main", "acmeChallenge": "dns"}),
    ("registry:acmeCa", {"proxy": "main", "acmeCa": "/no/such/file"}),
    ("registry:acmeCa", {"proxy": "main", "acmeCa": ISSUER.chain}),
    ("registry:proxyHttpsPort", {"proxy": "main", "proxyHttpsPort": "80"}),
    ("registry:proxyMode", {"proxy": "main", "proxyMode": "every"}),
    ("registry:proxyMode", {"proxy": "main", "proxyMode": "global"}),
    ("registry:dashboardDomain", {"proxy": "none", "dashboardDomain": "t.example.com"}),
    ("registry:dashboardDomain", {"proxy": "stack", "dashboardDomain": "t.example.com"}),
    ("registry:dashboardDomain", {"proxy": "main", "dashboardDomain": "registry.example.com"}),
    ("registry:certificate", {"proxy": "none", "https": "own", "certificate": ISSUER.chain}),
    ("registry:certificateKey", {"proxy": "main", "https": "own", "certificate": OWN_PAIR.chain}),
    ("registry:https", {"proxy": "main", "certificate": OWN_PAIR.chain}),
    ("registry:proxyMetrics", {"proxy": "main", "proxyMetrics": "on"}),
    ("registry:proxyMemory", {"proxy": "main", "proxyMemory": "1MiB"}),
    ("registry:proxyConfig", {"proxy": "main", "proxyConfig": "log"}),
    ("registry:proxyConfig.api", {"proxy": "main", "proxyConfig": {"api": {"insecure": True}}}),
    ("registry:proxySecrets.a-b", {"proxy": "main", "proxySecrets": {"a-b": SECRET}}),
    ("registry:proxyEnvironment.REGION", {"proxy": "main", "proxyEnvironment": {"REGION": 1}}),
    ("registry:hashedPasswords.admin", {"hashedPasswords": {"admin": SECRET}}),
    ("registry:users", {"users": ["a"], "hashedPasswords": {"a": APR1}}),
    (
        "docker:keyMaterial",
        {"docker:caMaterial": OWN_PAIR.chain, "docker:certMaterial": OWN_PAIR.chain},
    ),
    ("docker:hots", {"docker:hots": "ssh://prod"}),
    ("docker:registryAuth", {"docker:registryAuth": [{"address": "ghcr.io"}]}),
    ("registry:mirrors." + "m" * 24, {"stackName": "s" * 40, "mirrors": {"m" * 24: MIRROR}}),
    (f"registry:proxySecrets.{'A' * 44}", {"proxy": "main", "proxySecrets": {"A" * 44: SECRET}}),
    *(
        ("registry:mirrors.hub.allow[0]", {"mirrors": {"hub": MIRROR | {"allow": [each]}}})
        for each in ("0.0.0.0/0.0.0.0", 1, "10.0.0.1/8", "")
    ),
    ("registry:image", {"image": "registry"}),
    ("registry:image", {"image": "registry:3@sha256:abc"}),
    ("registry:users", {"users": "admin"}),
    ("registry:users", {"users": []}),
    ("registry:users", {"users": ["a", "a"]}),
    ("registry:users[0]", {"users": ["a:b"]}),
    ("registry:users[1]", {"users": ["a", ""]}),
    ("registry:pullLogins.ghcr", {"pullLogins": {"ghcr": {"io": {"username": "me"}}}}),
    ('registry:pullLogins["docker.io"]', {"pullLogins": {"docker.io": PULL}}),
    ('registry:pullLogins["ghcr.io"]', {"pullLogins": {"ghcr.io": SECRET}}),
    ('registry:pullLogins["ghcr.io"].username', {"pullLogins": {"ghcr.io": {"password": SECRET}}}),
    (
        'registry:pullLogins["ghcr.io"].username',
        {"pullLogins": {"ghcr.io": PULL | {"username": f"{SECRET}\n"}}},
    ),
    ('registry:pullLogins["ghcr.io"].password', {"pullLogins": {"ghcr.io": {"username": "me"}}}),
    (
        'registry:pullLogins["ghcr.io"].user',
        {"pullLogins": {"ghcr.io": PULL | {"user": "me"}}},
    ),
    ("registry:imageRefresh", {"imageRefresh": ""}),
    ("registry:users[0]", {"users": ["tab\tname"]}),
    ("registry:users[0]", {"users": ["#a-comment"]}),
    ("registry:dashboardUsers[0]", {"dashboardUsers": ["#a-comment"], "proxy": "main"}),
    ('registry:hashedPasswords["#a"]', {"hashedPasswords": {"#a": APR1}}),
    ('registry:hashedPasswords["a,b"]', {"hashedPasswords": {"a,b": APR1}}),
    ("registry:passwords.ghost", {"passwords": {"ghost": SECRET}}),
    ("registry:passwords.admin", {"passwords": {"admin": ""}}),
    ("registry:passwords.admin", {"passwords": {"admin": SECRET * 5}}),
    ("registry:passwords.admin", {"passwords": {"admin": f"{SECRET}\n"}}),
    ("registry:passwords.admin", {"passwords": {"admin": 42}}),
    ("registry:passwords", {"passwords": SECRET}),
    ("registry:passwordCost", {"passwordCost": "9"}),
    ("registry:passwordCost", {"passwordCost": "31"}),
    ("registry:passwordRotation", {"passwordRotation": "a\nb"}),
    ("registry:volumeName", {"volumeName": "/srv/data"}),
    ("registry:volumeNode", {"volumeNode": "dog cat"}),
    ("registry:volumeNode", {"volumeNode": "dog", "volumeDriver": "nfs"}),
    ("registry:volumeMovedFrom", {"volumeMovedFrom": "a b"}),
    ("registry:volumeOptions.type", {"volumeOptions": {"type": 4}}),
    ("registry:destroyData", {"destroyData": "1"}),
    ("registry:constraints[0]", {"constraints": ["node.labels.disk = ssd"]}),
    ("registry:memory", {"memory": "512"}),
    ("registry:memory", {"memory": "1MiB"}),
    ("registry:memory", {"memory": "half"}),
    ("registry:cpus", {"cpus": "0"}),
    ("registry:cpus", {"cpus": "two"}),
    ("registry:logSize", {"logSize": "10 MB"}),
    ("registry:logFiles", {"logFiles": "0"}),
    ("registry:deployTimeout", {"deployTimeout": "5m"}),
    ("registry:drainSeconds", {"drainSeconds": "1h"}),
    ("registry:drainSeconds", {"drainSeconds": "9"}),
    ("registry:drainSeconds", {"drainSeconds": "3601"}),
    ("registry:config", {"config": ["log"]}),
    ("registry:config.auth", {"config": {"auth": {"none": {}}}}),
    ("registry:config.http.addr", {"config": {"http": {"addr": ":80"}}}),
    ("registry:config.http.secret", {"config": {"http": {"secret": SECRET}}}),
    ("registry:config.version", {"config": {"version": "0.2"}}),
    ("registry:config.loging", {"config": {"loging": {}}}),
    ("registry:config.storage", {"config": {"storage": {"s3": {}, "gcs": {}}}}),
    ("registry:config.storage.swift", {"config": {"storage": {"swift": {}}}}),
    ("registry:config.storage.inmemory", {"config": {"storage": {"inmemory": {}}}}),
    ("registry:config.storage.s3", {"config": {"storage": {"s3": "images"}}}),
    (
        "registry:config.storage.s3.bucket",
        {"config": {"storage": {"s3": {"region": "eu-central-1"}}}},
    ),
    ("registry:config.storage.s3.region", {"config": {"storage": {"s3": {"bucket": "b"}}}}),
    ("registry:config.storage.s3.buckt", {"config": {"storage": {"s3": S3 | {"buckt": "b"}}}}),
    (
        "registry:config.storage.s3.secretkey",
        {"config": {"storage": {"s3": S3 | {"accesskey": "a", "secretkey": SECRET}}}},
    ),
    (
        "registry:config.storage.s3.secretkey",
        {"config": {"storage": {"s3": S3 | {"accesskey": "a"}}}},
    ),
    ("registry:config.storage.gcs.credentials", {"config": {"storage": {"gcs": GCS}}}),
    (
        "registry:config.storage.azure.container",
        {"config": {"storage": {"azure": {"accountname": "a"}}}},
    ),
    ("registry:config.redis", {"cache": "redis", "config": {"redis": {"addrs": ["a:1"]}}}),
    ("registry:cache", {"cache": "disk"}),
    ("registry:storageCa", {"storageCa": BROKEN}),
    ("registry:replicas", {"replicas": "0"}),
    ("registry:replicas", {"replicas": "2"}),
    ("registry:spread", {"spread": "zone"}),
    ("registry:config.proxy", {"config": {"proxy": {"remoteurl": "https://hub"}}}),
    ("registry:mirrors", {"mirrors": ["hub"]}),
    ("registry:mirrors.Hub", {"mirrors": {"Hub": MIRROR}}),
    ("registry:mirrors.hub", {"mirrors": {"hub": "https://registry-1.docker.io"}}),
    ("registry:mirrors.hub.upstream", {"mirrors": {"hub": {"domain": "m.example.com"}}}),
    ("registry:mirrors.hub.upstream", {"mirrors": {"hub": MIRROR | {"upstream": "hub"}}}),
    (
        "registry:mirrors.hub.upstream",
        {"mirrors": {"hub": MIRROR | {"upstream": "https://docker.io"}}},
    ),
    ("registry:mirrors.hub.domain", {"mirrors": {"hub": {"upstream": "https://quay.io"}}}),
    ("registry:mirrors.hub.domain", {"mirrors": {"hub": MIRROR | {"domain": "mirror"}}}),
    ("registry:mirrors", {"mirrors": {"hub": MIRROR | {"domain": GOOD["domain"]}}}),
    ("registry:mirrors", {"mirrors": {"hub": MIRROR, "quay": MIRROR}}),
    ("registry:mirrors.hub.upstrem", {"mirrors": {"hub": MIRROR | {"upstrem": "x"}}}),
    ("registry:mirrors.hub.ttl", {"mirrors": {"hub": MIRROR | {"ttl": "a week"}}}),
    ("registry:mirrors.hub.ca", {"mirrors": {"hub": MIRROR | {"ca": BROKEN_KEY}}}),
    ("registry:mirrors.hub.allow[0]", {"mirrors": {"hub": MIRROR | {"allow": "10.0.0.0/8"}}}),
    ("registry:mirrors.hub.allow[0]", {"mirrors": {"hub": MIRROR | {"allow": ["10.0.0.1/8"]}}}),
    ("registry:mirrors.hub.password", {"mirrors": {"hub": MIRROR | {"username": "me"}}}),
    ("registry:mirrors.hub.password", {"mirrors": {"hub": PRIVATE}}),
    ("docker:host", {"docker:host": "manager.example.com"}),
    ("registry:domian", {"domian": "registry.example.com"}),
]


@pytest.mark.parametrize(("key", "values"), WRONG, ids=lambda value: str(value)[:50])
def test_a_wrong_setting_is_named_and_its_secrets_are_not(key: str, values: dict[str, Any]) -> None:
    with pytest.raises(pulumi.RunError) as error:
        settings(**values)
    message = str(error.value)
    assert f"- {key} " in message
    assert message.startswith("One setting of stack prod is wrong; nothing was touched:")
    assert SECRET not in message


@pytest.mark.parametrize("key", ["stackName", "domain"])
def test_a_missing_setting_is_named_with_what_to_type(key: str) -> None:
    values = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(pulumi.RunError, match=rf"registry:{key} is missing") as error:
        parse(raw(values), lambda _: False, "prod")
    assert f"pulumi config set --stack prod registry:{key} " in str(error.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(pulumi.RunError) as error:
        parse(raw({"domain": "x", "proxy": "y", "memory": "z"}), lambda _: False, "prod")
    message = str(error.value)
    assert message.startswith("4 settings of stack prod are wrong")
    for key in ("stackName", "domain", "proxy", "memory"):
        assert f"registry:{key} " in message


@pytest.mark.parametrize(
    "allow", [["0.0.0.0/0"], ["0::/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["::/1", "8000::/1"]]
)
def test_what_a_login_upstream_lets_see_is_not_for_everybody(allow: list[str]) -> None:
    with pytest.raises(pulumi.RunError, match=r"hub\.allow is everybody") as error:
        settings(("registry:mirrors",), mirrors={"hub": PRIVATE | {"allow": allow}})
    assert str(error.value).startswith("One setting")


def test_the_longest_names_that_are_accepted_are_taken_by_swarm() -> None:
    longest = settings(
        proxy="main",
        stackName="s" * 40,
        mirrors={"m" * 15: MIRROR},
        proxySecrets={"A" * 43: SECRET},
    )
    (mirror,) = longest.mirrors
    assert len(f"{longest.stack.name}_mirror-{mirror.name}") == 63
    assert longest.proxy
    (variable,) = longest.proxy.secrets
    # Pulumi adds a dash and seven digits.
    assert len(f"proxy-secret-{variable}-1234567") == 64
