"""Settings that no committed stack uses: they deploy, and do what they say."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .site import Site

NAME = "optional"
DOMAIN = "optional.example.com"


@contextlib.contextmanager
def relay(target: Path) -> Iterator[int]:
    """A port on loopback that leads to a Unix socket: an engine as it looks from elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            # Closing the server ends `accept`, and so this thread.
            with contextlib.suppress(OSError):
                while True:
                    near, _ = server.accept()
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(str(target))
                    for source, sink in ((near, far), (far, near)):
                        threading.Thread(target=pump, args=(source, sink), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Passes on what comes until it ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


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


def test_a_remote_engine_is_deployed_to_and_labelled_over_its_address(site: Site) -> None:
    local = site.project.environment["DOCKER_HOST"]
    values = {"registry:domain": "far.example.com", "registry:network": NAME}
    site.project.init("remote", {**values, "registry:stackName": "far"})
    with relay(Path(local.removeprefix("unix://"))) as port:
        site.project.environment["DOCKER_HOST"] = f"tcp://127.0.0.1:{port}"
        try:
            site.project.up("remote")
            site.project.ok("preview", "--expect-no-changes", "--stack", "remote")
            site.project.remove("remote")
        finally:
            site.project.environment["DOCKER_HOST"] = local
    assert len(site.holders("far.registry-data")) == 1
