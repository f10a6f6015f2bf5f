"""`make status` on a stack that is well, and with faults: each is one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.distribution.config import REGISTRY_IMAGE
from components.proxy import TRAEFIK_IMAGE
from components.version import TOOLS_IMAGE
from ops.bootstrap import images
from ops.bootstrap.console import wait
from testing.certificates import CertificatePair
from testing.hub import Hub
from testing.site import STARTED_S, SwarmUnderTest
from testing.testswarm import Node

NAME = "live"
DOMAIN = "registry.example.com"
REGISTRY, PROXY = f"{NAME}_registry", f"{NAME}_proxy"
DISK_MIB, FILLED_MIB = 1200, 400
"""Size of the disk for images, in memory, and what is written to it: less than 1 GiB is left."""
GOOD = CertificatePair.make(DOMAIN, days=60, since_days=30)
OLD = CertificatePair.make(DOMAIN, days=2, since_days=88)
WRONG_LOGINS = 30
BROKEN = "registry:broken"
"""An image that can be had, and isn't a registry."""
TITLES = (
    *("answer", "certificate", "gc", "proxy", "registry", "nodes", "disk"),
    *("collection", "logins", "drift", "deployment"),
)
"""Titles of all lines of what the stack has."""


@pytest.fixture(scope="module")
def disk(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the second node that is a small disk of its own."""
    disk = tmp_path_factory.mktemp("disk")
    size = f"size={DISK_MIB}m"
    site.swarm.exec(site.swarm.nodes[1], "mount", "-t", "tmpfs", "-o", size, "tmpfs", disk)
    return disk


@pytest.fixture(scope="module")
def hub(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Yield the mirror of Docker Hub, with the images that are deployed."""
    tarballs = images.tarballs()
    official = {name: tarballs[name] for name in (REGISTRY_IMAGE, TRAEFIK_IMAGE, TOOLS_IMAGE)}
    hub = Hub(site.swarm, tmp_path_factory.mktemp("hub"), official)
    yield hub
    hub.end()


@pytest.fixture(scope="module", autouse=True)
def _deployed(
    site: SwarmUnderTest, hub: Hub, disk: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Deploy the registry to another node than that of the engine."""
    assert hub.digest(REGISTRY_IMAGE)
    values = {
        "registry:stackName": NAME,
        "registry:domain": DOMAIN,
        "registry:network": NAME,
        "registry:proxy": "stack",
        "registry:https": "own",
        "registry:volumeNode": site.swarm.nodes[1].name,
        "registry:toolsImage": TOOLS_IMAGE,
        "registry:gc.schedule": "0 4 * * *",
        "registry:volumeOptions.type": "none",
        "registry:volumeOptions.o": "bind",
        "registry:volumeOptions.device": str(disk),
    }
    site.project.init(NAME, values)
    show_certificate(site, GOOD, tmp_path_factory.mktemp("good"))
    site.serves(NAME, DOMAIN, PROXY)


def show_certificate(site: SwarmUnderTest, pair: CertificatePair, folder: Path) -> None:
    """Deploy the stack with a certificate of its own, which is trusted from then on."""
    site.project.ok("config", "set", "--stack", NAME, "registry:certificate", stdin=pair.chain)
    site.project.set(NAME, "registry:certificateKey", pair.key, "--secret")
    site.project.up(NAME)
    (folder / "root.pem").write_text(pair.chain)
    site.trust(folder / "root.pem")


def screen(site: SwarmUnderTest) -> tuple[int, str, dict[str, str]]:
    """Return the exit code of `make status`, its headline, and the state of each line by title."""
    result = site.make("status", f"STACK={NAME}")
    print(result.out)
    head, *rows = result.out.splitlines()
    matches = [re.match(r"  (\S+) +(\S+)", row) for row in rows]
    return result.code, head, {each[2]: each[1] for each in matches if each}


def json_lines(site: SwarmUnderTest, engine: Node) -> tuple[int, dict[str, Any]]:
    """Return the exit code of `make status`, and its lines by title; another `engine` is asked."""
    arguments = ("status", f"STACK={NAME}", "FORMAT=json")
    result = site.make(*arguments, DOCKER_HOST=engine.host)
    return result.code, {line["title"]: line for line in json.loads(result.out)["lines"]}


def test_all_is_well(site: SwarmUnderTest) -> None:
    code, head, states = screen(site)
    assert (code, head) == (0, f"https://{DOMAIN}: all is well")
    assert states == dict.fromkeys(TITLES, "ok") | {"backup": "off"}
    # No trace is left of the task that has asked for the disk of another node.
    services = site.swarm.docker(site.swarm.nodes[0], "service", "ls", "--format", "{{.Name}}")
    assert set(services.split()) == {REGISTRY, PROXY, f"{NAME}_gc"}


def test_scripts_get_the_same_through_the_images_own_node(site: SwarmUnderTest) -> None:
    second = site.swarm.nodes[1]
    code, lines = json_lines(site, second)
    assert (code, {*lines}) == (0, {*TITLES, "backup"})
    assert lines["disk"]["state"] == "ok", lines["disk"]["text"]
    assert lines["disk"]["facts"]["total"] == DISK_MIB * 2**20
    assert lines["collection"]["text"].startswith("none yet; the next one ")
    assert lines["registry"]["facts"]["nodes"] == [second.name]
    assert lines["proxy"]["facts"]["nodes"] == [site.node_of(PROXY).name]


def test_newer_versions_and_moved_tags_are_shown(site: SwarmUnderTest, hub: Hub) -> None:
    newer = REGISTRY_IMAGE.partition(":")[0] + ":3.999.0"
    hub.push(REGISTRY_IMAGE, newer)
    hub.push(REGISTRY_IMAGE, TRAEFIK_IMAGE)
    # No package index is asked, as where there is none.
    output = site.make("outdated", f"STACK={NAME}", PIP_INDEX_URL="http://127.0.0.1:1/")
    assert output.code == 0, output.text
    shown = " ".join(output.out.split())
    assert f"newer {REGISTRY_IMAGE} 3.999.0 is newer (registry)" in shown
    assert f"pulumi config set --stack {NAME} registry:image {newer}" in shown
    assert f"newer {TRAEFIK_IMAGE} the tag leads to another image by now (proxy)" in shown
    assert shown.count("pip finds no index that knows it") == 3


def test_faults_are_shown(site: SwarmUnderTest, disk: Path, tmp_path: Path) -> None:
    first, second, _ = site.swarm.nodes
    show_certificate(site, OLD, tmp_path)
    site.serves(NAME, DOMAIN, PROXY)
    urls = [f"https://{DOMAIN}/v2/"] * WRONG_LOGINS
    sinks = ["-o", "/dev/null"] * WRONG_LOGINS
    wrong = ("curl", "-sS", "--cacert", site.root, "--user", "admin:guess")
    site.swarm.exec(first, *wrong, *sinks, *urls)
    site.swarm.exec(second, "fallocate", "-l", f"{FILLED_MIB}M", disk / "filled")
    site.swarm.docker(first, "service", "update", "-d", "--label-add", "by=hand", REGISTRY)
    busy = (second, site.node_of(PROXY))
    idle = next(node for node in site.swarm.nodes if node not in busy)
    site.update_node(idle.id, "--availability", "drain")
    try:
        code, head, states = screen(site)
    finally:
        site.update_node(idle.id, "--availability", "active")
        (disk / "filled").unlink(missing_ok=True)
    assert (code, head) == (2, f"https://{DOMAIN}: 3 wrong, 2 warnings")  # 2 is make's own.
    faults = {title: state for title, state in states.items() if state not in ("ok", "off")}
    assert faults == {
        "certificate": "wrong",
        "disk": "wrong",
        "drift": "wrong",
        "nodes": "warning",
        "logins": "warning",
    }


def test_a_broken_image_is_undone_and_shown_until_it_is_mended(
    site: SwarmUnderTest, hub: Hub
) -> None:
    hub.push(TRAEFIK_IMAGE, BROKEN)
    site.project.set(NAME, "registry:image", BROKEN)
    failed = site.project.pulumi("up", "--yes", "--skip-preview", "--stack", NAME)
    assert failed.code != 0
    assert f"The update of {REGISTRY} was undone, and the version before runs on" in failed.text
    _, lines = json_lines(site, site.swarm.nodes[0])
    assert lines["answer"]["state"] == "ok"
    assert lines["registry"]["state"] == lines["deployment"]["state"] == "warning"
    assert f"{REGISTRY_IMAGE}; its last update was undone: " in lines["registry"]["text"]
    site.project.unset(NAME, "registry:image")
    site.project.up(NAME)
    _, lines = json_lines(site, site.swarm.nodes[0])
    assert lines["deployment"]["state"] == "ok"
    assert "undone" not in lines["registry"]["text"]


def test_a_service_without_tasks_is_shown(site: SwarmUnderTest) -> None:
    first = site.swarm.nodes[0]
    site.swarm.docker(first, "service", "scale", "-d", f"{REGISTRY}=0")
    wait("the registry to end", lambda: not site.tasks(REGISTRY), STARTED_S)
    code, lines = json_lines(site, first)
    assert code == 2
    assert lines["registry"]["text"].startswith("0 of 1 run, ")
    assert "number of replicas" in lines["drift"]["text"]
    # The old task answers until it has drained.
    states = {title: lines[title]["state"] for title in ("registry", "disk", "drift")}
    assert states == {"registry": "wrong", "disk": "unknown", "drift": "wrong"}
