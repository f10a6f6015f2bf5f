"""Each setting changes something of what the whole program declares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ops.documentation import reference
from testing.certificates import CertificatePair

from .program import Declared, declare
from .shared_program import (
    ACME,
    APR1,
    BLOCK,
    DASHBOARD,
    EXTERNAL_ACCOUNT,
    FIRST,
    HMAC,
    HUB,
    MAIN,
    MIRRORS,
    REDIS,
    SECRETS,
    SOCKET,
    STORE,
    TOKEN,
)

PAIR, OTHER_PAIR = (
    CertificatePair.make("images.example.com"),
    CertificatePair.make("images.example.com"),
)
OWN_CERTIFICATE: Mapping[str, Any] = {
    **MAIN,
    "https": "own",
    "certificate": PAIR.chain,
    "certificateKey": PAIR.key,
}
TLS: Mapping[str, Any] = {
    **FIRST,
    "docker:host": "tcp://manager.example.com:2376",
    "docker:caMaterial": BLOCK,
    "docker:certMaterial": BLOCK,
    "docker:keyMaterial": PAIR.key,
}


EXAMPLES: Mapping[str, tuple[Mapping[str, Any], Any]] = {
    "stackName": (FIRST, "other"),
    "domain": (FIRST, "other.example.com"),
    "sharedDomain": (FIRST, "true"),
    "traefikTag": (FIRST, "other"),
    "publicTag": (FIRST, "other"),
    "constraintLabel": (FIRST, "other"),
    "entryPoint": (FIRST, "other"),
    "httpsEntryPoint": (FIRST, "other"),
    "https": (FIRST, "none"),
    "certResolver": (FIRST, "other"),
    "redirectMiddleware": (FIRST, "other"),
    "tlsOptions": (FIRST, "modern@file"),
    "middlewares": (FIRST, ["limit@swarm"]),
    "rateLimit": (FIRST, "100"),
    "network": (FIRST, "other-public"),
    "networkLabel": (FIRST, "traefik.swarm.network"),
    "createNetwork": (MAIN, "false"),
    "encryptNetwork": (MAIN, "true"),
    "networks": (FIRST, ["storage"]),
    "proxy": ({**FIRST, "https": "none", "network": "other-public"}, "stack"),
    "proxyImage": (MAIN, "traefik:v3.0.0"),
    "proxyHttpPort": (MAIN, "8080"),
    "proxyHttpsPort": (MAIN, "8443"),
    "trustedProxies": (MAIN, ["10.0.0.5"]),
    "proxyMode": (OWN_CERTIFICATE, "global"),
    "proxyMemory": (MAIN, "1GiB"),
    "proxyMetrics": (MAIN, "true"),
    "proxyConfig": (MAIN, {"log": {"level": "DEBUG"}}),
    "proxySecrets": (MAIN, {"CF_DNS_API_TOKEN": "token"}),
    "proxyEnvironment": (MAIN, {"TZ": "UTC"}),
    "proxySocket": (MAIN, "proxy"),
    "proxySocketPath": (MAIN, "/run/user/docker.sock"),
    "socketProxyImage": (SOCKET, "haproxy:3.1"),
    "dashboardDomain": (MAIN, "traefik.example.com"),
    "dashboardUsers": (DASHBOARD, ["me"]),
    "acmeEmail": (MAIN, "me@example.com"),
    "acmeServer": (ACME | {"acmeEabHmac": HMAC}, "https://ca.example.org/directory"),
    "acmeCa": (EXTERNAL_ACCOUNT, BLOCK * 2),
    "acmeEabKid": (EXTERNAL_ACCOUNT, "other"),
    "acmeEabHmac": (EXTERNAL_ACCOUNT, f"A{HMAC}"),
    "acmeChallenge": (MAIN, "http"),
    "certificatesName": (MAIN, "other"),
    "certificatesNode": (MAIN, {"cat": "dog", "dog": "cat"}),
    "certificate": (OWN_CERTIFICATE, f"{PAIR.chain}\n"),
    "certificateKey": (OWN_CERTIFICATE, f"{PAIR.key}\n"),
    "proxyDashboardPort": ({**FIRST, "proxy": "stack"}, "8090"),
    "image": (FIRST, "registry:3.0.0"),
    "imageRefresh": (FIRST, "2026-11"),
    "pullLogins": (FIRST, {"ghcr.io": {"username": "me", "password": "token"}}),
    "users": (FIRST, ["admin", "ci"]),
    "passwords": (FIRST, {"admin": "a password"}),
    "hashedPasswords": (FIRST, {"admin": APR1}),
    "passwordCost": ({**FIRST, "passwords": {"admin": "a password"}}, "11"),
    "passwordRotation": (FIRST, "2026-11"),
    "passwordVersions": (FIRST, {"admin": [{"version": "2"}]}),
    "passwordSeeds": (FIRST, {"login": "B" * 43 + "="}),
    "formerPasswords": (
        TOKEN,
        {"admin": {"password": "another", "until": "2026-11-27T10:00:00Z"}},
    ),
    "auth": ({**FIRST, "toolsImage": "ghcr.io/acme/tools:1"}, "token"),
    "access": (TOKEN, [{"users": ["admin"], "actions": ["pull"]}]),
    "tokenLifetime": (TOKEN, "60"),
    "tokenReplicas": (TOKEN, "1"),
    "signingKeys": (TOKEN, ["2", "1"]),
    "toolsImage": (TOKEN, "ghcr.io/acme/tools:2"),
    "volumeName": (FIRST, "other"),
    "volumeNode": (FIRST, {"cat": "dog", "dog": "emu", "emu": "cat"}),
    "volumeDriver": (FIRST, "rclone"),
    "volumeOptions": (FIRST, {"type": "nfs", "o": "addr=10.0.0.9", "device": ":/images"}),
    "destroyData": (FIRST, "true"),
    "constraints": (FIRST, ["node.role == manager"]),
    "memory": (FIRST, "1GiB"),
    "cpus": (FIRST, "1.5"),
    "logSize": (FIRST, "20MiB"),
    "logFiles": (FIRST, "5"),
    "drainSeconds": (FIRST, "30"),
    "gc": ({**FIRST, "toolsImage": "ghcr.io/acme/tools:1"}, {"schedule": "0 4 * * *"}),
    "retention": (
        {**FIRST, "toolsImage": "ghcr.io/acme/tools:1", "gc": {"schedule": "0 4 * * *"}},
        [{"repositories": "team/**", "keep": 10, "olderThan": "720h"}],
    ),
    "backup": (
        {**FIRST, "toolsImage": "ghcr.io/acme/tools:1"},
        {"to": "/srv/backup", "schedule": "0 3 * * *"},
    ),
    "mirrors": (FIRST, {"hub": HUB}),
    "mirrorsName": (MIRRORS, "other"),
    "mirrorsNode": (MIRRORS, {"cat": "dog", "dog": "emu", "emu": "cat"}),
    "storageCa": (STORE, BLOCK),
    "readOnly": (FIRST, "true"),
    "replicas": (STORE, "2"),
    "spread": (STORE, "node.labels.zone"),
    "cache": (STORE, "redis"),
    "redisImage": (REDIS, "redis:7.2"),
    "redisMemory": (REDIS, "64MiB"),
    "config": (FIRST, {"log": {"level": "debug"}}),
    "docker:host": (FIRST, "tcp://127.0.0.1:2376"),
    "docker:caMaterial": (TLS, BLOCK * 2),
    "docker:certMaterial": (TLS, BLOCK * 2),
    "docker:keyMaterial": (TLS, OTHER_PAIR.key),
}
"""Keys with settings, and another value that changes what they make.

For a node: the other one, by the one that is chosen without.
"""

WITHOUT_RESOURCE: Mapping[str, str] = {
    "volumeMovedFrom": "consent to a move, which a first deployment isn't",
    "certificatesMovedFrom": "consent to a move, which a first deployment isn't",
    "mirrorsMovedFrom": "consent to a move, which a first deployment isn't",
    "swarmMovedFrom": "consent to a move, which a first deployment isn't",
    "deployTimeout": "bounds a wait, which is no resource",
    "policy": "read by the policy pack",
}
"""Keys that change nothing in a program, with the reason."""


def documented_keys() -> list[str]:
    """Return the keys of the reference."""
    return [key.removeprefix("registry:") for keys, *_ in reference() for key in keys]


@pytest.mark.parametrize("key", documented_keys())
def test_each_setting_changes_what_is_declared(
    key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if key in WITHOUT_RESOURCE:
        assert key not in EXAMPLES
        return
    base, value = EXAMPLES[key]
    before = declare(base, SECRETS, monkeypatch, tmp_path)
    if key.endswith("Node"):
        prefix = {"certificates": "certificates", "mirrors": "mirrors", "volume": "registry-data"}
        value = value[node_of(before, prefix[key.removesuffix("Node")])]
    after = declare({**base, key: value}, SECRETS, monkeypatch, tmp_path)
    assert after.as_json() != before.as_json()


def node_of(declared: Declared, storage: str) -> str:
    """Return the name of the node that was chosen for a volume."""
    stash = f"registry:index:Storage$pulumi:index:Stash::{storage}-place"
    return str(declared.resources[stash]["inputs"]["input"]["node"])


def test_no_example_is_of_a_key_that_isnt_documented() -> None:
    assert {*EXAMPLES, *WITHOUT_RESOURCE} == set(documented_keys())


ALONE: Mapping[str, str] = {
    "access": "token-config",
    "tokenLifetime": "token-config",
    "tokenReplicas": "token-service",
    "signingKeys": "registry-jwks token-key",
    "toolsImage": "token-service service-images",
    "formerPasswords": "login-users",
    "rateLimit": "registry-service",
    "gc": "registry-config gc-service service-images gc",
    "retention": "gc-retention gc-service",
    "backup": "backup-service service-images backup",
    "trustedProxies": "registry-service proxy-traefik",
}
"""All resources that a change of a setting shows. A secret has its service's task made anew."""


@pytest.mark.parametrize("key", ALONE)
def test_a_change_of_a_setting_shows_as_that_alone(
    key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base, value = EXAMPLES[key]
    before = declare(base, SECRETS, monkeypatch, tmp_path).resources
    after = declare({**base, key: value}, SECRETS, monkeypatch, tmp_path).resources
    changed = {
        name.rpartition("::")[2].removeprefix("images-com-")
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }
    assert changed == set(ALONE[key].split())
