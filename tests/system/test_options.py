"""Settings that no committed stack uses: they deploy, and do what they say."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bootstrap.console import wait
from testing.archive import haproxy_image
from testing.certificates import CertificatePair
from testing.site import STARTED_S, SwarmUnderTest
from testing.testswarm import SOON_S, Node

NAME = "optional"
DOMAIN = "optional.example.com"
STORAGE = "optional-storage"
"""A network of somebody else's."""
HAPROXY = "haproxy:of-this-machine"
"""Stands in for the official image, which can't be had everywhere."""


@contextlib.contextmanager
def relay(target: Path, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Yield a port on loopback that leads to a Unix socket, as of an engine elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            # Closing the server ends `accept`, and so this thread.
            with contextlib.suppress(OSError):
                while True:
                    near, _ = server.accept()
                    if tls:
                        near = tls.wrap_socket(near, server_side=True)
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(str(target))
                    for source, sink in ((near, far), (far, near)):
                        threading.Thread(target=pump, args=(source, sink), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def tls_context(engine: CertificatePair, client: CertificatePair, folder: Path) -> ssl.SSLContext:
    """Return what an engine with that certificate takes from clients with the other."""
    (folder / "engine.pem").write_text(engine.chain + engine.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "engine.pem")
    context.load_verify_locations(cadata=client.chain)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until it ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)  # Of TLS the whole: it has no half that is open.


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Deploy a stack that sets nearly everything; its volume is of a kind without a node."""
    site.swarm.docker(site.swarm.nodes[0], "network", "create", "--driver", "overlay", STORAGE)
    site.project.init(
        "options",
        {
            "registry:stackName": NAME,
            "registry:domain": DOMAIN,
            "registry:proxy": "stack",
            "registry:proxyHttpPort": "8080",
            "registry:network": NAME,
            "registry:networks[0]": STORAGE,
            "registry:memory": "1GiB",
            "registry:cpus": "1.5",
            "registry:logSize": "5MiB",
            "registry:logFiles": "2",
            "registry:proxySocket": "proxy",
            "registry:socketProxyImage": HAPROXY,
        },
    )
    site.swarm.load(haproxy_image(tmp_path_factory.mktemp("haproxy"), HAPROXY))
    disk = tmp_path_factory.mktemp("disk")
    for node in site.swarm.nodes:
        site.swarm.exec(node, "mount", "-t", "tmpfs", "tmpfs", disk)
    further = {
        "registry:volumeOptions.type": "none",
        "registry:volumeOptions.o": "bind",
        "registry:volumeOptions.device": str(disk),
        "registry:constraints[0]": "node.platform.os == linux",
        "registry:config.storage.delete.enabled": "true",
        "registry:config.log.level": "warn",
    }
    site.project.configure("options", further)
    site.project.up("options")


def test_nothing_changes_later(site: SwarmUnderTest) -> None:
    site.project.ok("preview", "--expect-no-changes", "--stack", "options")
    site.project.ok("refresh", "--yes", "--expect-no-changes", "--stack", "options")
    site.project.ok("preview", "--expect-no-changes", "--stack", "options")


def test_the_quick_look_at_drift_takes_no_setting_for_a_change(site: SwarmUnderTest) -> None:
    output = site.make("status", "STACK=options", "FORMAT=json").out
    lines = {line["title"]: line for line in json.loads(output)["lines"]}
    assert lines["drift"]["state"] == "ok", lines["drift"]
    assert lines["disk"]["state"] == "ok", lines["disk"]


def test_the_service_is_as_told(site: SwarmUnderTest) -> None:
    task = site.inspect("service", f"{NAME}_registry")["Spec"]["TaskTemplate"]
    assert task["Resources"]["Limits"] == {"NanoCPUs": 1_500_000_000, "MemoryBytes": 1 << 30}
    assert task["LogDriver"]["Options"] == {"max-size": "5m", "max-file": "2"}
    networks = {network["Target"] for network in task["Networks"]}
    assert networks == {site.inspect("network", name)["Id"] for name in (NAME, STORAGE)}
    label = f"{NAME}.registry-data"
    constraints = [f"node.labels.{label} == true", "node.platform.os == linux"]
    assert sorted(task["Placement"]["Constraints"]) == constraints
    options = task["ContainerSpec"]["Mounts"][0]["VolumeOptions"]["DriverConfig"]["Options"]
    assert (options["type"], options["o"]) == ("none", "bind")
    assert len(site.holders(label)) == 1, "a folder of one node"


def test_traefik_asks_the_engine_for_what_it_needs_and_gets_no_more(site: SwarmUnderTest) -> None:
    node, container = site.container(f"{NAME}_proxy")
    mounts = site.inspect("service", f"{NAME}_proxy")["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert "Mounts" not in mounts

    def asked(path: str, *flags: str) -> str:
        fetch = ("wget", "-S", "-q", "-O", "/dev/null", *flags)
        url = f"http://{NAME}_socket_proxy:2375{path}"
        command = ("docker", "exec", container, *fetch, url)
        output = site.swarm.exec(node, *command, check=False).stderr
        return output.split()[1] if output.startswith("HTTP") or " HTTP/" in output else output

    assert "200" in asked("/v1.41/services")
    for path in ("/v1.41/secrets", "/v1.41/configs", "/v1.41/containers/json", "/v1.41/services/x"):
        assert "403" in asked(path)
    assert "403" in asked("/v1.41/services", "--post-data", "{}")


def test_traefik_leaves_half_of_the_cores_to_the_registry(site: SwarmUnderTest) -> None:
    environment = site.inside(f"{NAME}_proxy", "cat", "/proc/1/environ").split("\0")
    half = (len(os.sched_getaffinity(0)) + 1) // 2
    assert f"GOMAXPROCS={half}" in environment


def test_the_registrys_own_configuration_is_passed_through(
    site: SwarmUnderTest, archive: Path
) -> None:
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
    site: SwarmUnderTest,
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
    without = site.project.pulumi("destroy", "--yes", "--stack", "gone")
    assert "--run-program" in without.text, "which the hook that deletes it needs"
    site.project.ok("destroy", "--yes", "--run-program", "--stack", "gone")
    assert not is_there()
    site.project.remove("gone")


def test_a_remote_engine_is_deployed_to_and_labelled_over_its_address(site: SwarmUnderTest) -> None:
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


def test_an_engine_behind_tls_is_reached_with_material_from_the_configuration(
    site: SwarmUnderTest, tmp_path: Path
) -> None:
    engine, client = CertificatePair.make(address="127.0.0.1"), CertificatePair.make("client")
    context = tls_context(engine, client, tmp_path)
    values = {"registry:domain": "tls.example.com", "registry:network": NAME}
    site.project.init("tls", {**values, "registry:stackName": "behind-tls"})
    project, host = site.project, site.project.environment.pop("DOCKER_HOST")
    try:
        with relay(Path(host.removeprefix("unix://")), context) as port:
            project.set("tls", "docker:host", f"tcp://127.0.0.1:{port}")
            for key, text in (("caMaterial", engine.chain), ("certMaterial", client.chain)):
                project.ok("config", "set", "--stack", "tls", f"docker:{key}", stdin=text)
            project.set("tls", "docker:keyMaterial", client.key, "--secret")
            project.up("tls")
            project.ok("preview", "--expect-no-changes", "--stack", "tls")
            secret = client.key.splitlines()[1]
            assert secret not in project.state_text()
            assert secret not in project.ok("stack", "export", "--stack", "tls")
            project.remove("tls")
    finally:
        project.environment["DOCKER_HOST"] = host


def test_an_engine_that_is_no_manager_is_one_clear_error(site: SwarmUnderTest) -> None:
    first, *_, last = site.swarm.nodes
    site.swarm.docker(first, "node", "demote", last.name)
    site.project.environment["DOCKER_HOST"] = last.host
    try:
        wait("the node to be a worker", lambda: is_worker(site, last), SOON_S)
        result = site.project.preview("options")
        # What needs a manager goes elsewhere: if it went later, others would find nobody.
        wait("Traefik to leave the node", lambda: not needs_manager(site, last), STARTED_S)
    finally:
        site.project.environment["DOCKER_HOST"] = first.host
        site.swarm.docker(first, "node", "promote", last.name)
    assert result.code != 0
    assert f"The Docker engine at {last.host} is a worker" in result.text
    assert "pulumi config set --stack options docker:host ssh://USER@MANAGER" in result.text
    assert "Traceback" not in result.text
    wait("the node to be a manager again", lambda: not is_worker(site, last), SOON_S)
    # Swarm takes a node that is slow to come back for lost, and starts its tasks elsewhere.
    site.swarm.wait_until_ready(last)
    site.serves("options", DOMAIN, f"{NAME}_proxy")


def needs_manager(site: SwarmUnderTest, node: Node) -> set[str]:
    """Return what runs on a node, or shall, that may run on managers alone."""
    shown = ("--filter", "desired-state=running", "--format", "{{.Name}}")
    tasks = site.swarm.docker(site.swarm.nodes[0], "node", "ps", *shown, node.name).split()
    return {task.partition(".")[0] for task in tasks} & {f"{NAME}_proxy", f"{NAME}_socket_proxy"}


def is_worker(site: SwarmUnderTest, node: Node) -> bool:
    output = site.swarm.docker(node, "info", "--format", "{{.Swarm.ControlAvailable}}")
    return output.strip() == "false"


def test_the_doctor_notices_a_disk_that_can_not_be_written_to(site: SwarmUnderTest) -> None:
    # Traefik may not have found the tasks of the last deployment yet.
    site.serves("options", DOMAIN, f"{NAME}_proxy")
    doctor = ("doctor", "STACK=options", "SLOW=0")
    assert "an upload of 64 KiB is stored" in site.made(*doctor)
    node, volume = site.node_of(f"{NAME}_registry"), f"{NAME}_registry-data"
    folder = site.swarm.docker(node, "volume", "inspect", "--format", "{{.Mountpoint}}", volume)
    site.swarm.exec(node, "mount", "-o", "remount,ro", folder)
    try:
        result = site.make(*doctor)
    finally:
        site.swarm.exec(node, "mount", "-o", "remount,rw", folder)
    assert result.code != 0
    assert "a small upload isn't stored (500)" in result.text
