"""Settings that no committed stack uses: they deploy, and do what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .site import Site

NAME = "optional"
DOMAIN = "optional.example.com"


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: Site) -> None:
    """One stack that sets about everything; its volume is of a kind that is nowhere pinned."""
    site.project.init(
        "options",
        {
            "registry:stackName": NAME,
            "registry:domain": DOMAIN,
            "registry:proxy": "stack",
            "registry:proxyHttpPort": "8080",
            "registry:network": NAME,
            "registry:memory": "1GiB",
            "registry:cpus": "1.5",
            "registry:logSize": "5MiB",
            "registry:logFiles": "2",
        },
    )
    for key, value in {
        "registry:volumeOptions.type": "tmpfs",
        "registry:volumeOptions.device": "tmpfs",
        "registry:constraints[0]": "node.platform.os == linux",
        "registry:config.storage.delete.enabled": "true",
        "registry:config.log.level": "warn",
    }.items():
        site.project.set("options", key, value, "--path")
    site.project.up("options")


def test_nothing_changes_later(site: Site) -> None:
    site.project.ok("preview", "--expect-no-changes", "--stack", "options")
    site.project.ok("refresh", "--yes", "--expect-no-changes", "--stack", "options")
    site.project.ok("preview", "--expect-no-changes", "--stack", "options")


def test_the_service_is_as_told(site: Site) -> None:
    task = site.inspect("service", f"{NAME}_registry")["Spec"]["TaskTemplate"]
    assert task["Resources"]["Limits"] == {"NanoCPUs": 1_500_000_000, "MemoryBytes": 1 << 30}
    assert task["LogDriver"]["Options"] == {"max-size": "5m", "max-file": "2"}
    assert task["Placement"]["Constraints"] == ["node.platform.os == linux"]
    options = task["ContainerSpec"]["Mounts"][0]["VolumeOptions"]["DriverConfig"]["Options"]
    assert options == {"device": "tmpfs", "type": "tmpfs"}
    assert site.holders(f"{NAME}.registry-data") == []


def test_the_registrys_own_configuration_is_passed_through(site: Site, archive: Path) -> None:
    node = site.resolve(DOMAIN, f"{NAME}_proxy")
    domain = f"{DOMAIN}:8080"
    site.resolve(domain, f"{NAME}_proxy")
    login = site.login("options")
    digest = site.push("options", domain, "hello:1", archive)
    url = f"http://{domain}/v2/hello/manifests/{digest}"
    assert site.status(url, login, node) == 200
    site.swarm.exec(node, "curl", "-sf", "-X", "DELETE", "--user", login, url)
    assert site.status(url, login, node) == 404


def test_an_encrypted_network_stays_and_data_are_deleted_only_when_that_was_deployed(
    site: Site,
) -> None:
    first = site.swarm.nodes[0]
    site.project.init(
        "gone",
        {
            "registry:stackName": "gone",
            "registry:domain": "gone.example.com",
            "registry:volumeNode": first.name,
            "registry:network": "gone",
            "registry:createNetwork": "true",
            "registry:encryptNetwork": "true",
        },
    )
    site.project.up("gone")
    encrypted = site.inspect("network", "gone")["Options"]
    assert "encrypted" in encrypted
    site.project.ok("preview", "--expect-no-changes", "--stack", "gone")
    volumes = ("volume", "ls", "--format", "{{json .Name}}")

    def is_there() -> bool:
        names = site.swarm.docker(first, *volumes).splitlines()
        return "gone_registry-data" in map(json.loads, names)

    site.project.ok("destroy", "--yes", "--stack", "gone")
    assert is_there()
    site.project.set("gone", "registry:destroyData", "true")
    site.project.up("gone")
    site.project.ok("destroy", "--yes", "--stack", "gone")
    assert not is_there()
    site.project.remove("gone")
