"""What a new environment takes over from another, and what it doesn't."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settings.copies import Copy, copy_for, renamed

PROD = {
    "registry:stackName": "registry-com",
    "registry:domain": "registry.example.com",
    "registry:proxy": "main",
}
STAG = {
    "registry:stackName": "stag-registry-com",
    "registry:domain": "stag.example.com",
    "registry:traefikTag": "stag.registry.com",
}
LOCAL = {
    "registry:stackName": "registry-local",
    "registry:domain": "localhost",
    "registry:proxy": "stack",
    "registry:network": "registry-local",
}


def copied(values: dict[str, str], source: str = "stag", **more: Any) -> Copy:
    texts = {
        f"registry:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in more.items()
    }
    return copy_for(values | texts, source, "new", "new.example.com")


def edits(copy: Copy) -> dict[str, str | None]:
    return {edit.key.removeprefix("registry:"): edit.value for edit in copy.edits}


def test_it_has_names_of_its_own() -> None:
    assert edits(copied(STAG)) == {
        "stackName": "new-registry-com",
        "traefikTag": "new.registry.com",
        "domain": "new.example.com",
    }


@pytest.mark.parametrize("role", ["volume", "certificates", "mirrors"])
@pytest.mark.parametrize("part", ["Name", "Node", "MovedFrom"])
def test_where_the_data_of_one_stack_are_is_left_out(role: str, part: str) -> None:
    assert edits(copied(STAG, **{f"{role}{part}": "x"}))[f"{role}{part}"] is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("volumeDriver", "nfs"),
        ("volumeOptions", {"type": "nfs", "o": "addr=nas", "device": ":/exports/registry"}),
        ("mirrors", {"hub": {"upstream": "https://registry-1.docker.io", "domain": "m.x.org"}}),
        ("dashboardDomain", "traefik.example.com"),
        ("passwords", {"admin": "secret"}),
        ("hashedPasswords", {"admin": "$apr1$a$b"}),
        ("formerPasswords", {"admin": {"password": "secret", "until": "2026-11-27T10:00:00Z"}}),
        ("passwordSeeds", {"login": "secret"}),
        ("destroyData", "true"),
        ("swarmMovedFrom", "x" * 25),
    ],
)
def test_what_both_would_use_is_left_out_with_a_reason(key: str, value: object) -> None:
    copy = copied(PROD, "prod", **{key: value})
    assert edits(copy)[key] is None
    assert all(edit.reason for edit in copy.edits if edit.value is None)


@pytest.mark.parametrize("key", ["image", "users", "memory", "config", "acmeEmail", "proxySecrets"])
def test_all_else_is_taken_over(key: str) -> None:
    assert key not in edits(copied(PROD, "prod", **{key: "x"}))


@pytest.mark.parametrize(
    ("storage", "path", "root"),
    [
        ({"s3": {"bucket": "images"}}, "s3", "/new"),
        ({"s3": {"bucket": "images", "rootdirectory": "/prod"}}, "s3", "/new"),
        ({"gcs": {"bucket": "images", "rootdirectory": "team/prod"}}, "gcs", "team/new"),
        ({"azure": {"container": "images"}, "delete": {"enabled": True}}, "azure", "/new"),
    ],
)
def test_an_object_store_holds_both_in_folders_of_their_own(
    storage: dict[str, Any], path: str, root: str
) -> None:
    lines = edits(copied(STAG, config={"storage": storage}))
    assert lines[f"config.storage.{path}.rootdirectory"] == root


def test_files_of_its_own_need_no_folder() -> None:
    lines = edits(copied(STAG, config={"storage": {"delete": {"enabled": True}}}))
    assert not [key for key in lines if key.startswith("config")]


def test_a_cache_isnt_shared() -> None:
    config = {"redis": {"addrs": ["r:6379"]}, "storage": {"cache": {"blobdescriptor": "redis"}}}
    lines = edits(copied(STAG, config=config))
    assert lines["config.redis"] is None
    assert lines["config.storage.cache"] is None


def test_a_main_traefik_is_for_a_swarm_of_its_own_and_says_what_to_type_else() -> None:
    copy = copied(PROD, "prod")
    assert not {"proxy", "network", "createNetwork"} & edits(copy).keys()
    (hint,) = copy.hints
    assert "pulumi config set --stack new registry:proxy none" in hint


def test_on_the_engine_of_the_source_it_joins_the_sources_traefik() -> None:
    values = PROD | {"docker:host": "ssh://me@dog", "registry:createNetwork": "true"}
    copy = copied(values, "prod", certificateKey="key.pem", trustedProxies=["10.0.0.5"])
    lines = edits(copy)
    assert lines["proxy"] == "none"
    assert lines["networkLabel"] == "traefik.swarm.network"
    assert lines["createNetwork"] is None
    assert lines["certificateKey"] is lines["trustedProxies"] is None
    assert copy.hints == []


def test_a_traefik_for_one_stack_gets_a_network_of_its_own() -> None:
    assert edits(copied(LOCAL, "local"))["network"] == "registry-new"
    unnamed = {key: value for key, value in LOCAL.items() if key != "registry:network"}
    assert edits(copied(unnamed, "local"))["network"] == "new-traefik-public"


def test_settings_that_are_wrong_can_be_copied() -> None:
    assert edits(copied(STAG, replicas="many", volumeNode="a b"))["volumeNode"] is None


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("stag-registry-com", "preprod-registry-com"),
        ("stag.registry.com", "preprod.registry.com"),
        ("registry-com", "preprod-registry-com"),
        ("registry.com", "preprod.registry.com"),
        ("stagecoach", "preprod-stagecoach"),
    ],
)
def test_a_new_environment_is_named_after_itself(text: str, becomes: str) -> None:
    assert renamed(text, "stag", "preprod") == becomes
