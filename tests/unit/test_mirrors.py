"""Pull-through caches, as the component runs them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components import (
    Credentials,
    CredentialsArgs,
    MirrorOptions,
    Mirrors,
    MirrorsArgs,
)
from components.distribution.config import (
    DATA_PATH,
    HUB,
    ConfigOptions,
    Secrets,
    Upstream,
    Wiring,
    document,
    folder_of_mirror,
    of_mirrors,
)

from .conftest import Deploy, Recorder
from .shared_components import (
    ROUTE,
    STACK,
    plain,
)


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"accountkey": "a2V5"}, "shared_key"),
        ({}, "default_credentials"),
        ({"credentials": {"type": "client_secret"}}, "client_secret"),
    ],
)
def test_azure_is_told_which_kind_of_credentials_it_has(
    parameters: dict[str, Any], kind: str
) -> None:
    config = {"storage": {"azure": {"accountname": "a", "container": "c", **parameters}}}
    made = document(ConfigOptions(config=config), Secrets(http="s"), Wiring())
    assert made["storage"]["azure"]["credentials"]["type"] == kind


def mirrors(deploy: Deploy, *options: MirrorOptions) -> Recorder:
    def program() -> None:
        login = Credentials("login", CredentialsArgs(stack=STACK))
        args = MirrorsArgs(
            stack=STACK,
            networks=["n"],
            mirrors=options,
            routes=dict.fromkeys((mirror.name for mirror in options), ROUTE),
            htpasswd=login.secret,
        )
        Mirrors("mirrors", args)

    return deploy(program)


QUAY = MirrorOptions(
    name="quay",
    domain="quay.example.com",
    upstream=Upstream(url="https://quay.io", ttl="24h", username="me", password="the token"),
)


def test_a_mirror_needs_nobody_upstream_to_start_and_removes_what_has_expired(
    deploy: Deploy,
) -> None:
    record = mirrors(deploy, QUAY)
    made = record.of_type("Secret")
    config = plain(made["mirrors-config"])
    assert config["proxy"] == {"exec": {"command": "cat"}}
    assert config["storage"]["delete"] == {"enabled": True}
    assert "auth" in config
    assert plain(made["mirrors-quay-upstream"]) == {"Username": "me", "Secret": "the token"}
    service = record.of_type("Service")["mirrors-quay-service"]
    container = service["taskSpec"]["containerSpec"]
    assert service["name"] == "s_mirror-quay"
    assert f"{container['dir']}/get" in [each["fileName"] for each in container["secrets"]]
    assert {part for part in container["commands"] if part.startswith("REGISTRY_")} == {
        f"REGISTRY_PROXY_REMOTEURL={QUAY.upstream.url}",
        f"REGISTRY_PROXY_TTL={QUAY.upstream.ttl}",
        f"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY={DATA_PATH}/mirrors/quay",
    }
    assert "the token" not in str(service)


def test_another_mirror_is_one_more_service_and_nothing_else(deploy: Deploy) -> None:
    hub = replace(QUAY, upstream=Upstream(url=HUB), allow=["10.0.0.0/8"])
    few = mirrors(deploy, replace(hub, name="a"))
    many = mirrors(deploy, *(replace(hub, name=name) for name in "abcdefgh"))
    assert len(many.registered) == len(few.registered) + 7
    assert "auth" not in plain(many.of_type("Secret")["mirrors-config-open"])


@pytest.mark.parametrize(
    ("parameters", "storage", "folder"),
    [
        ({}, {}, ("filesystem", "/var/lib/registry/mirrors/hub")),
        (
            {"cache": {"blobdescriptor": "redis"}, "s3": {"bucket": "b"}, "redirect": {}},
            {"s3": {"bucket": "b"}, "redirect": {}},
            ("s3", "/mirrors/hub"),
        ),
        (
            {"gcs": {"bucket": "b", "rootdirectory": "/prod/"}},
            {"gcs": {"bucket": "b", "rootdirectory": "/prod/"}},
            ("gcs", "/prod/mirrors/hub"),
        ),
    ],
)
def test_a_mirror_keeps_what_it_has_in_a_folder_of_its_own(
    parameters: dict[str, Any], storage: dict[str, Any], folder: tuple[str, str]
) -> None:
    config = {"storage": parameters, "log": {"level": "warn"}, "notifications": {}}
    assert of_mirrors(config) == {"storage": storage, "log": {"level": "warn"}}
    assert folder_of_mirror(config, "hub") == folder
