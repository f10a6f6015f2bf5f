"""The whole program: what it declares for some settings, and that no setting is without effect."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.documentation import reference
from testing.certificates import CertificatePair

from .program import ROOT, Declared, declare

GOLDEN = ROOT / "tests/golden"
FIRST: Mapping[str, Any] = {"stackName": "images-com", "domain": "images.example.com"}
SECRETS = (
    "registry:passwords",
    "registry:hashedPasswords",
    "registry:formerPasswords",
    "registry:proxySecrets",
    "registry:acmeEabHmac",
    "registry:pullLogins",
    "registry:mirrors",
    "registry:config",
    "registry:certificateKey",
    "docker:keyMaterial",
)
PAIR, OTHER_PAIR = (
    CertificatePair.make("images.example.com"),
    CertificatePair.make("images.example.com"),
)
BLOCK = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
APR1 = "$apr1$8sdhfjsd$Mb6IbAMxSMVRIsDe0lS.j/"
HMAC = "YSBrZXkgb2YgMjU2IGJpdHMsIHdoaWNoIGlzIHRoZSBsZWFzdA"
ACME_SERVER = "https://ca.example.com/directory"
# The address of a store that nobody asks: there is no port of that number.
S3 = {"bucket": "b", "region": "r", "regionendpoint": "s3.example.invalid:99999"}
KEYS = {"accesskey": "key", "secretkey": "secret"}
HUB = {"upstream": "https://registry-1.docker.io", "domain": "hub.example.com"}
GHCR = {
    "upstream": "https://ghcr.io",
    "domain": "ghcr.example.com",
    "allow": ["10.0.0.0/8"],
    "username": "me",
    "password": "token",
    "ca": BLOCK,
}


def stack_file(name: str) -> dict[str, Any]:
    config = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    return {key.removeprefix("registry:"): value for key, value in config.items()}


MAIN: Mapping[str, Any] = {**FIRST, "proxy": "main"}
ACME = {**MAIN, "acmeServer": ACME_SERVER, "acmeCa": BLOCK, "acmeEabKid": "k"}
EXTERNAL_ACCOUNT = {**ACME, "acmeEabHmac": HMAC}
OWN_CERTIFICATE: Mapping[str, Any] = {
    **MAIN,
    "https": "own",
    "certificate": PAIR.chain,
    "certificateKey": PAIR.key,
}
DASHBOARD = {**MAIN, "dashboardDomain": "traefik.example.com"}
SOCKET = {**MAIN, "proxySocket": "proxy"}
STORE: Mapping[str, Any] = {**FIRST, "config": {"storage": {"s3": {**S3, **KEYS}}}}
REDIS = {**STORE, "cache": "redis"}
MIRRORS = {**FIRST, "mirrors": {"hub": HUB}}
TOKEN: Mapping[str, Any] = {**FIRST, "auth": "token", "toolsImage": "ghcr.io/acme/tools:1"}
TLS: Mapping[str, Any] = {
    **FIRST,
    "docker:host": "tcp://manager.example.com:2376",
    "docker:caMaterial": BLOCK,
    "docker:certMaterial": BLOCK,
    "docker:keyMaterial": PAIR.key,
}

PROGRAMS: Mapping[str, Mapping[str, Any]] = {
    "minimal": FIRST,
    "local": stack_file("local.example"),
    "stag": stack_file("stag"),
    "prod": stack_file("prod"),
    "store": {
        **REDIS,
        "config": {"storage": {"s3": {**S3, **KEYS, "rootdirectory": "/images"}}},
        "storageCa": BLOCK,
        "replicas": "3",
        "spread": "node.labels.zone",
        "networks": ["storage"],
        "mirrors": {"hub": HUB, "ghcr": GHCR},
    },
    "main": {
        **EXTERNAL_ACCOUNT,
        **DASHBOARD,
        **SOCKET,
        "encryptNetwork": "true",
        "mirrors": {"hub": HUB},
        "cache": "redis",
        "proxySecrets": {"CF_DNS_API_TOKEN": "token"},
        "proxyEnvironment": {"TZ": "UTC"},
        "proxyConfig": {"log": {"level": "DEBUG"}},
        "proxyMetrics": "true",
        "acmeChallenge": "dns:cloudflare",
        "middlewares": ["limit@swarm"],
        "destroyData": "true",
    },
    "external": {
        **FIRST,
        "proxy": "stack",
        "https": "external",
        "trustedProxies": ["10.0.0.5"],
        "proxyMode": "global",
        "hashedPasswords": {"admin": APR1},
        "volumeOptions": {"type": "nfs", "o": "addr=10.0.0.9", "device": ":/images"},
        "config": {"http": {"headers": {"Access-Control-Allow-Origin": ["https://ui.example"]}}},
    },
    "token": {
        **TOKEN,
        "proxy": "stack",
        "https": "external",
        "trustedProxies": ["10.0.0.5"],
        "mirrors": {"hub": HUB, "ghcr": GHCR},
        "users": ["admin", "ci", "deploy"],
        "passwords": {"ci": "a password"},
        "hashedPasswords": {"robot-1": APR1},
        "formerPasswords": {"ci": {"password": "another", "until": "2026-11-27T10:00:00Z"}},
        "passwordVersions": {
            "deploy": [{"version": "2"}, {"version": "1", "until": "2026-11-27T10:00:00Z"}]
        },
        "signingKeys": ["2", "1"],
        "access": [
            {"users": ["admin"], "actions": ["pull", "push", "delete", "catalog"]},
            {"users": ["ci", "robot-*"], "repositories": ["team/**"], "actions": ["pull", "push"]},
            {"users": ["deploy"], "actions": ["pull"]},
            {"anonymous": True, "repositories": ["public/**"], "actions": ["pull"]},
        ],
    },
}
"""Settings whose program is recorded; a name, and what may be in a stack's file."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_declares_what_is_recorded(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Compare with the record, which UPDATE_GOLDEN=1 writes.

    Another name or type is a resource that is deleted and made again; another input is an update of
    every stack that is deployed.
    """
    record = declare(PROGRAMS[name], SECRETS, monkeypatch, tmp_path).as_json()
    golden = GOLDEN / f"program-{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(record)
    assert record == golden.read_text()


def test_what_is_wrong_is_one_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = {**FIRST, "replicas": "0", "memory": "much"}
    with pytest.raises(AssertionError, match=r"2 settings of stack test are wrong; nothing was"):
        declare(wrong, SECRETS, monkeypatch, tmp_path)


def test_a_swarm_whose_nodes_could_not_get_the_tools_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="built on one engine, and the swarm has 3") as refused:
        declare({**FIRST, "auth": "token"}, SECRETS, monkeypatch, tmp_path)
    assert "make build PUSH=ghcr.io/acme" in str(refused.value)
    assert "pulumi config set --stack test registry:toolsImage" in str(refused.value)


def test_a_registry_that_is_read_only_has_mirrors_that_fill_themselves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declared = declare({**MIRRORS, "readOnly": "true"}, SECRETS, monkeypatch, tmp_path)
    (registry,) = stored(declared, "registry-config")
    assert registry["maintenance"] == {"readonly": {"enabled": True}}
    (mirrors,) = stored(declared, "mirrors-config")
    assert "maintenance" not in mirrors
    config = {"config": {"storage": {"maintenance": {"readonly": {"enabled": False}}}}}
    with pytest.raises(AssertionError, match=r"maintenance\.readonly can't go with"):
        declare({**FIRST, **config, "readOnly": "true"}, SECRETS, monkeypatch, tmp_path)


def stored(declared: Declared, secret: str) -> list[dict[str, Any]]:
    """Return `storage` of the registry configurations that are secrets of that name."""
    return [
        each["inputs"]["data"]["secret"]["base64"]["storage"]
        for urn, each in declared.resources.items()
        if urn.endswith(f"-{secret}")
    ]


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
    "proxyUiPort": ({**FIRST, "proxy": "stack"}, "8090"),
    "image": (FIRST, "registry:3.0.0"),
    "imageRefresh": (FIRST, "2026-11"),
    "pullLogins": (FIRST, {"ghcr.io": {"username": "me", "password": "token"}}),
    "users": (FIRST, ["admin", "ci"]),
    "passwords": (FIRST, {"admin": "a password"}),
    "hashedPasswords": (FIRST, {"admin": APR1}),
    "passwordCost": ({**FIRST, "passwords": {"admin": "a password"}}, "11"),
    "passwordRotation": (FIRST, "2026-11"),
    "passwordVersions": (FIRST, {"admin": [{"version": "2"}]}),
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
