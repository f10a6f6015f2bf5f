"""How a registry is found that runs, with all that it has."""

from __future__ import annotations

import pytest

from components.distribution.config import CONFIG_PATH
from ops.adopt.original import (
    UnreadableError,
    find_registry,
    node_of,
    reader,
)

from .shared_adopt import (
    FakeDocker,
    planned,
)

SECRET = {"SecretID": "s", "SecretName": "logins", "File": {"Name": "htpasswd"}}
CONFIG = {"ConfigID": "c", "ConfigName": "c", "File": {"Name": CONFIG_PATH}}


def test_a_service_is_found_with_all_that_it_has() -> None:
    mount = {"Type": "volume", "Source": "data", "Target": "/data/"}
    docker = FakeDocker(env=("A=b=c",), Mounts=[mount], Secrets=[SECRET], Configs=[CONFIG])
    registry = find_registry(docker, "app")
    assert (registry.image, registry.networks, registry.ports) == ("registry:2", ["web"], [5000])
    assert registry.variables == {"A": "b=c"}
    assert [(each.kind, each.target) for each in registry.mounts] == [
        ("volume", "/data/"),
        ("secret", "/run/secrets/htpasswd"),
        ("config", CONFIG_PATH),
    ]
    assert node_of(docker, registry) == "dog"
    assert not registry.is_deployed_by_us
    assert not registry.is_stopped


def test_files_are_read_where_they_are() -> None:
    docker = FakeDocker(Secrets=[SECRET], Configs=[CONFIG])
    read = reader(docker, find_registry(docker, "app"), "dog")
    assert read(CONFIG_PATH) == "a config"
    assert read("/run/secrets/htpasswd") == "c1 printed /run/secrets/htpasswd"
    assert read("/etc/x") == "copied"
    assert read("/etc/y") is None


def test_files_of_another_node_are_unreadable_but_for_swarms_configs() -> None:
    docker = FakeDocker(container="", Secrets=[SECRET], Configs=[CONFIG])
    read = reader(docker, find_registry(docker, "app"), "dog")
    assert read(CONFIG_PATH) == "a config"
    assert read("/etc/x") is None, "what its image has"
    with pytest.raises(UnreadableError, match="DOCKER_HOST=ssh://USER@dog"):
        read("/run/secrets/htpasswd")
    docker.service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = "example.com/our/registry:2"
    read = reader(docker, find_registry(docker, "app"), "dog")
    with pytest.raises(UnreadableError, match="DOCKER_HOST=ssh://USER@dog"):
        read("/etc/x")


def test_a_registry_of_this_program_is_recognized() -> None:
    named_by_pulumi = SECRET | {
        "SecretName": "registry-config-0a1b2c3",
        "File": {"Name": CONFIG_PATH},
    }
    assert find_registry(FakeDocker(Secrets=[named_by_pulumi]), "app").is_deployed_by_us
    other = named_by_pulumi | {"SecretName": "my-config"}
    assert not find_registry(FakeDocker(Secrets=[other]), "app").is_deployed_by_us


def test_no_label_of_the_originals_stays_behind_without_a_word() -> None:
    assert planned().left_out == {}
