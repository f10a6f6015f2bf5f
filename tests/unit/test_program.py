"""The whole program under mocks: what it declares is recorded in tests/golden."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from .program import ROOT, Declared, declare
from .shared_program import (
    APR1,
    BLOCK,
    DASHBOARD,
    EXTERNAL_ACCOUNT,
    FIRST,
    HUB,
    KEYS,
    MIRRORS,
    REDIS,
    S3,
    SECRETS,
    SOCKET,
    TOKEN,
)

GOLDEN = ROOT / "tests/golden"
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
    "gc": {
        **FIRST,
        "toolsImage": "ghcr.io/acme/tools:1",
        "constraints": ["node.labels.disk == ssd"],
        "gc": {"schedule": "0 4 * * *", "grace": "48h", "untagged": True, "memory": "1GiB"},
    },
    "backup": {
        **FIRST,
        "toolsImage": "ghcr.io/acme/tools:1",
        "backup": {
            "to": "s3://backups/registry",
            "schedule": "0 3 * * *",
            "keep": 14,
            "s3": {"region": "eu-central-1", "accesskey": "me", "secretkey": "of-backups"},
        },
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
