"""Pull-through caches: what was pulled once is there when the upstream isn't."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from components.distribution.config import HUB
from ops import nodes
from ops.bootstrap.console import wait
from testing.project import changed
from testing.site import SwarmUnderTest
from testing.testswarm import SOON_S, Node
from testing.upstream import Upstream

NAME = "pulling"
DOMAIN = "pulling.example.com"
PROXY = f"{NAME}_proxy"
MIRROR, MIRROR_DOMAIN = f"{NAME}_mirror-hub", "mirror.example.com"
GUARDED, GUARDED_DOMAIN = f"{NAME}_mirror-guarded", "guarded.example.com"
BRIEF, BRIEF_DOMAIN = f"{NAME}_mirror-brief", "brief.example.com"
LARGE = "library/large:1"
SMALL = "library/small:1"
PARTS, PART_BYTES = 5, 100 * 1024**2
BRIEFLY_S = 20
"""Longer than a busy machine takes to look at what was pulled."""


@pytest.fixture(scope="module")
def upstream(
    site: SwarmUnderTest, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upstream]:
    upstream = Upstream(site.swarm, tmp_path_factory.mktemp("upstream"))
    upstream.push(f"docker-archive:{archive}", SMALL)
    upstream.push(f"oci:{large_image(tmp_path_factory.mktemp('large'))}", LARGE)
    yield upstream
    upstream.end()


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: SwarmUnderTest, upstream: Upstream) -> None:
    project = site.project
    values = {"registry:stackName": NAME, "registry:domain": DOMAIN, "registry:proxy": "stack"}
    project.init(NAME, {**values, "registry:network": NAME})
    for name, domain, more in (
        ("hub", MIRROR_DOMAIN, {"allow[0]": "198.18.0.0/24"}),
        ("guarded", GUARDED_DOMAIN, {}),
        ("brief", BRIEF_DOMAIN, {"allow[0]": "198.18.0.0/24", "ttl": f"{BRIEFLY_S}s"}),
    ):
        settings = {"upstream": upstream.url, "domain": domain, "username": upstream.username}
        settings |= {"ca": str(upstream.root_file)} | more
        mirror = f"registry:mirrors.{name}"
        project.configure(
            NAME,
            {f"{mirror}.{key}": value for key, value in settings.items()},
            {f"{mirror}.password": upstream.password},
        )
    project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    for domain in (MIRROR_DOMAIN, GUARDED_DOMAIN, BRIEF_DOMAIN):
        site.resolve(domain, PROXY)
        wait(f"Traefik to know {domain}", partial(answers, site, domain), SOON_S)


def answers(site: SwarmUnderTest, domain: str) -> bool:
    """Return whether a registry is behind the name: it asks for a login, or lets in."""
    return site.status(f"http://{domain}/v2/") in (200, 401)


def large_image(folder: Path) -> Path:
    """Return an OCI layout of 500 MiB that nothing compresses."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    oci = "application/vnd.oci.image"
    layers, diff_ids = [], []
    for _ in range(PARTS):
        data = os.urandom(PART_BYTES)
        diff_ids.append(f"sha256:{hashlib.sha256(data).hexdigest()}")
        # Only its form is gzip's: random bytes stay as long as they are.
        layers.append(blob(gzip.compress(data, 0), f"{oci}.layer.v1.tar+gzip"))
    about = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    config = blob(json.dumps(about).encode(), f"{oci}.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": config,
        "layers": layers,
    }
    top = blob(json.dumps(manifest).encode(), f"{oci}.manifest.v1+json")
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def pull(
    site: SwarmUnderTest, domain: str, image: str, folder: Path, login: str | None = None
) -> str:
    """Pull all of an image into an empty folder; return the digest of its manifest."""
    creds = ("--src-creds", login) if login else ()
    site.skopeo(domain, "copy", *creds, f"docker://{domain}/{image}", f"dir:{folder}")
    return f"sha256:{hashlib.sha256((folder / 'manifest.json').read_bytes()).hexdigest()}"


def restart(site: SwarmUnderTest, service: str, domain: str) -> None:
    """End its task, and wait until Swarm has started another one."""
    node = site.node_of(service)
    named = ("--filter", f"label=com.docker.swarm.service.name={service}")
    old = site.swarm.docker(node, "ps", "-q", *named)
    site.swarm.docker(node, "kill", old)
    health = ("ps", "-q", *named, "--filter", "health=healthy")
    wait(f"{service} to be back", lambda: site.swarm.docker(node, *health) not in ("", old), SOON_S)
    wait("Traefik to know", lambda: site.status(f"http://{domain}/v2/") == 200, SOON_S)


def test_a_second_pull_comes_from_the_cache_while_the_upstream_is_down(
    site: SwarmUnderTest, upstream: Upstream, tmp_path: Path
) -> None:
    first = pull(site, MIRROR_DOMAIN, LARGE, tmp_path / "first")
    upstream.end()
    try:
        assert pull(site, MIRROR_DOMAIN, LARGE, tmp_path / "second") == first
        size = sum(path.stat().st_size for path in (tmp_path / "second").iterdir())
        assert size > PARTS * PART_BYTES
        # With the login in its configuration the registry would end as it starts.
        restart(site, MIRROR, MIRROR_DOMAIN)
        assert pull(site, MIRROR_DOMAIN, LARGE, tmp_path / "third") == first
        assert site.status(f"http://{MIRROR_DOMAIN}/v2/{SMALL.replace(':', '/manifests/')}") == 404
    finally:
        upstream.start()


def test_whoever_is_not_allowed_needs_the_registrys_login(
    site: SwarmUnderTest, tmp_path: Path
) -> None:
    assert site.status(f"http://{GUARDED_DOMAIN}/v2/") == 401
    pull(site, GUARDED_DOMAIN, SMALL, tmp_path / "small", site.login(NAME))
    project = site.project
    project.set(NAME, "registry:mirrors.hub.allow[0]", "192.0.2.0/24", "--path")
    steps = project.steps(NAME)
    assert changed(steps) == {"update docker:index/service:Service mirrors-hub-service"}
    project.up(NAME)
    wait(
        "strangers to be refused", lambda: site.status(f"http://{MIRROR_DOMAIN}/v2/") == 403, SOON_S
    )
    project.set(NAME, "registry:mirrors.hub.allow[0]", "198.18.0.0/24", "--path")
    project.up(NAME)
    wait("friends to be let in", lambda: site.status(f"http://{MIRROR_DOMAIN}/v2/") == 200, SOON_S)


def test_nothing_is_pushed_to_a_mirror(site: SwarmUnderTest, archive: Path) -> None:
    target = f"docker://{MIRROR_DOMAIN}/hello:1"
    copy = ("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false")
    pushed = site.swarm.exec(
        site.node_of(PROXY), *copy, f"docker-archive:{archive}", target, check=False
    )
    assert pushed.returncode != 0
    assert "unsupported" in pushed.stderr.lower() or "405" in pushed.stderr


def test_what_has_expired_is_removed(site: SwarmUnderTest, tmp_path: Path) -> None:
    pull(site, BRIEF_DOMAIN, SMALL, tmp_path / "small")
    node, container = site.container(BRIEF)
    find = ("find", "/var/lib/registry/mirrors/brief/docker/registry/v2/blobs", "-name", "data")

    def kept() -> list[str]:
        return site.swarm.docker(node, "exec", container, *find).split()

    assert len(kept()) == 3
    # The registry leaves the manifest, some hundred bytes.
    wait("what was pulled to be removed", lambda: len(kept()) == 1, 6 * BRIEFLY_S)
    # And is there again for whoever asks.
    pull(site, BRIEF_DOMAIN, SMALL, tmp_path / "again")


def test_the_upstreams_password_is_nowhere_in_plain_text(
    site: SwarmUnderTest, upstream: Upstream
) -> None:
    services = site.swarm.docker(site.any_node(), "service", "inspect", MIRROR, GUARDED)
    text = site.project.state_text() + services
    text += (site.project.folder / f"Pulumi.{NAME}.yaml").read_text()
    text += site.log(MIRROR)
    text += site.project.preview(NAME, "--diff").text
    assert upstream.password not in text


def test_nothing_changes_later(site: SwarmUnderTest) -> None:
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
    site.project.ok("refresh", "--yes", "--expect-no-changes", "--stack", NAME)
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)


def reload(node: Node) -> None:
    """Reload dockerd as `systemctl reload docker` does; process 1 of a node passes it on."""
    os.kill(node.init, signal.SIGHUP)


def test_docker_pulls_by_the_line_that_is_printed(site: SwarmUnderTest) -> None:
    # The real Docker Hub isn't to be had here; what the mirror's upstream is, Docker doesn't know.
    mirror = {"url": f"http://{MIRROR_DOMAIN}", "upstream": HUB, "login": False}
    config = re.search(r"^\{.*?^\}", nodes.lines({"hub": mirror}), re.DOTALL | re.MULTILINE)
    assert config
    node, image = site.swarm.nodes[0], SMALL.removeprefix("library/")
    file = node.dir / "daemon.json"
    before = file.read_text()
    file.write_text(json.dumps(json.loads(before) | json.loads(config[0])))
    try:
        reload(node)
        wait("the mirror", lambda: MIRROR_DOMAIN in site.swarm.docker(node, "info"), SOON_S)
        site.swarm.docker(node, "pull", image)
        site.swarm.docker(node, "rmi", image)
    finally:
        file.write_text(before)
        reload(node)


def test_containerd_pulls_by_the_lines_that_are_printed(
    site: SwarmUnderTest, upstream: Upstream, tmp_path: Path
) -> None:
    printed = site.made("mirrors", f"STACK={NAME}")
    assert f"docker pull {MIRROR_DOMAIN}/" in printed
    path, text = hosts_toml(printed, f"http://{MIRROR_DOMAIN}")
    assert path == f"/etc/containerd/certs.d/{upstream.address}/hosts.toml"
    folder = tmp_path / upstream.address
    folder.mkdir()
    (folder / "hosts.toml").write_text(text)
    node = site.swarm.nodes[0]
    ctr = ("ctr", "--address", "/run/docker/containerd/containerd.sock", "--namespace", "test")
    image = f"{upstream.address}/{SMALL}"
    upstream.end()
    try:
        site.swarm.exec(node, *ctr, "images", "pull", "--hosts-dir", tmp_path, image)
    finally:
        upstream.start()
    site.swarm.exec(node, *ctr, "images", "rm", image)


def hosts_toml(printed: str, url: str) -> tuple[str, str]:
    """Return path and text of the file that names the mirror at `url`."""
    for part in printed.split("containerd, in ")[1:]:
        path, _, text = part.partition("\n")
        if f'[host."{url}"]' in text:
            return path, text.partition("\nDocker, ")[0]
    raise AssertionError(f"{url} isn't there: {printed}")
