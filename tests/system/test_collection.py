"""`registry:gc` and `registry:retention` on a swarm: what goes, what stays, and the way back."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.retention import RULES_FILE
from components.version import TOOLS_IMAGE
from ops.bootstrap.console import wait
from testing.archive import archive_of
from testing.load import Load
from testing.site import SwarmUnderTest

NAME, DOMAIN, PORT = "collected", "collected.example.com", 8087
HOST = f"{DOMAIN}:{PORT}"
PROXY, JOB = f"{NAME}_proxy", f"{NAME}_job-gc"
ENDED_S = 120
"""Time limit of a collection of a few images, on a busy machine, seconds."""


@dataclass(frozen=True)
class Registry:
    """The registry of the stack, as its clients see it."""

    site: SwarmUnderTest
    folder: Path

    def push(self, name: str, content: str, tag: str = "1") -> str:
        """Push an image with one file as `name:tag`; return its digest."""
        return self.site.push(NAME, HOST, f"{name}:{tag}", image(self.folder, content))

    def run(self, name: str, digest: str) -> None:
        """Make a service that runs an image by its digest, once it has tasks."""
        options = ("--name", name.replace("/", "-"), "--replicas", "0", "--no-resolve-image")
        args = ("service", "create", "--detach", *options, f"{HOST}/{name}@{digest}")
        self.site.swarm.docker(self.site.any_node(), *args)

    def tags(self, name: str) -> list[str]:
        """Return the tags of a repository, as clients list them."""
        url = f"http://{HOST}/v2/{name}/tags/list"
        listed = self.site.swarm.exec(
            self.site.node_of(PROXY), "curl", "-sf", "--user", self.site.login(NAME), url
        )
        return sorted(json.loads(listed.stdout)["tags"] or [])

    def delete(self, name: str, digest: str) -> None:
        """Delete a manifest as clients do."""
        url = f"http://{HOST}/v2/{name}/manifests/{digest}"
        delete = ("curl", "-sf", "-X", "DELETE", "--user", self.site.login(NAME), url)
        self.site.swarm.exec(self.site.node_of(PROXY), *delete)

    def pulls(self, name: str, digest: str) -> bool:
        """Return whether an image can be pulled by its digest, with all its layers."""
        done = self.site.swarm.exec(
            self.site.node_of(PROXY),
            *("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--src-creds"),
            *(self.site.login(NAME), f"docker://{HOST}/{name}@{digest}"),
            f"dir:{self.folder}/pulled",
            check=False,
            timeout=ENDED_S,
        )
        return done.returncode == 0

    @property
    def files(self) -> Path:
        """Return the folder with the volume's files."""
        volume, node = f"{NAME}_registry-data", self.site.node_of(f"{NAME}_registry")
        shown = self.site.swarm.docker(node, "volume", "inspect", "-f", "{{.Mountpoint}}", volume)
        return Path(shown.strip())

    def age(self) -> None:
        """Make all that is stored two days older than the time of grace allows for."""
        node = self.site.node_of(f"{NAME}_registry")
        touch = ("-exec", "touch", "-d", "3 days ago", "{}", "+")
        self.site.swarm.exec(node, "find", str(self.files), *touch)


def image(folder: Path, content: str) -> Path:
    """Return an image with one file, as `docker save` writes it."""
    below = folder / content
    below.mkdir(exist_ok=True)
    with tarfile.open(below / "layer.tar", "w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return archive_of(below / "layer.tar", f"{content}:1")


@pytest.fixture(scope="module")
def registry(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Deploy a registry that is collected by a schedule, where tags of some repositories go."""
    values = {"stackName": NAME, "domain": DOMAIN, "proxy": "stack", "network": NAME}
    values |= {"proxyHttpPort": str(PORT), "config.storage.delete.enabled": "true"}
    values |= {"toolsImage": TOOLS_IMAGE, "gc.schedule": "0 4 * * *", "gc.untagged": "true"}
    values |= {"retention[0].repositories": "builds/**", "retention[0].keep": "1"}
    values |= {"retention[0].olderThan": "24h", "retention[0].never": "v*"}
    site.project.init(NAME, {f"registry:{key}": value for key, value in values.items()})
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    site.resolve(HOST, PROXY)
    return Registry(site, tmp_path_factory.mktemp("images"))


def test_a_collection_takes_what_nothing_needs_and_gives_it_back(
    registry: Registry, archive: Path, tmp_path: Path
) -> None:
    site = registry.site
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
    site.push(NAME, HOST, "kept:1", archive)
    deleted, moved = registry.push("deleted", "deleted"), registry.push("moved", "moved")
    in_use = registry.push("in-use", "in-use")
    for name in ("moved", "in-use"):
        registry.push(name, f"{name}-again")
    registry.delete("deleted", deleted)
    registry.run("in-use", in_use)
    registry.age()

    before = stored(registry)
    shown = site.made("gc", f"STACK={NAME}", "DRY=1")
    assert "would be put aside: 1 manifests" in shown
    assert "nothing was changed" in shown
    assert stored(registry) == before

    with Load(site, NAME, HOST, PROXY, archive, tmp_path, pulled="kept:1") as working:
        log = interrupted_at_the_second_look(registry, tmp_path / "gc.log")
    assert "putting aside: 1 manifests" in log, "it says what it does before it does it"
    assert working.failed == []
    assert registry.pulls("in-use", in_use), "a service is pinned to it"
    assert not registry.pulls("moved", moved)

    # It goes on where the other one ended, and has nothing to wait for.
    assert "put aside: 0 manifests" in site.made("gc", f"STACK={NAME}")
    assert registry.push("deleted", "deleted") == deleted
    assert registry.pulls("deleted", deleted), "all layers are there again"

    run = site.made("gc", f"STACK={NAME}", "LIST=1")
    assert "in the trash: run" in run
    assert "the last run ended" in run
    assert "is undone" in site.made("gc", f"STACK={NAME}", "UNDO=1")
    assert registry.pulls("moved", moved)
    assert "the trash is empty" in site.make("gc", f"STACK={NAME}", "UNDO=1").text
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)


def test_old_tags_go_and_come_back(registry: Registry) -> None:
    name, site = "builds/app", registry.site
    for tag in ("1", "2", "v1"):
        registry.push(name, f"build-{tag}", tag)
    registry.run(name, registry.push(name, "build-used", "used"))
    registry.age()
    registry.push(name, "build-last", "last")

    shown = site.made("retention", f"STACK={NAME}", "DRY=1")
    for tag in ("1", "2"):
        assert f"would go: {name}:{tag}, pushed 2" in shown
    assert f"in use: kept: {name}:used" in shown
    assert "nothing was changed" in shown
    assert registry.tags(name) == ["1", "2", "last", "used", "v1"]

    shown = site.made("retention", f"STACK={NAME}")
    assert "put aside: 2 tags; kept by the rules: 3" in shown
    assert registry.tags(name) == ["last", "used", "v1"]
    assert f"make gc STACK={NAME} UNDO=1" in shown
    assert "is undone" in site.made("gc", f"STACK={NAME}", "UNDO=1")
    assert registry.tags(name) == ["1", "2", "last", "used", "v1"]

    # The schedule has the rules as well, but can't ask what services run.
    node, task = site.node_of(f"{NAME}_gc"), ("-q", "--filter", f"name={NAME}_gc")
    container = site.swarm.docker(node, "ps", *task).strip()
    program = ("/bin/registry-gc", "run", "--rules", RULES_FILE, "--dry-run")
    log = site.swarm.docker(node, "exec", container, *program)
    assert log.count('"msg":"tag would go"') == 3


def stored(registry: Registry) -> set[str]:
    """Return the files of the registry, but for who holds the lock."""
    tree = registry.files / "docker/registry/v2"
    listed = registry.site.swarm.exec(
        registry.site.node_of(f"{NAME}_registry"), "find", str(tree), "-type", "f"
    )
    return set(listed.stdout.split())


def interrupted_at_the_second_look(registry: Registry, log: Path) -> str:
    """Run `make gc` until it waits, begin a second one, end the first; return its output."""
    site = registry.site
    with log.open("wb") as output:
        run = subprocess.Popen(
            [".venv/bin/python", "-m", "ops", "gc", "--stack", NAME],
            cwd=site.project.folder,
            env={**os.environ, **site.project.environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait("the second look", lambda: "looking once more" in log.read_text(), ENDED_S)
        second = site.make("gc", f"STACK={NAME}")
        assert (second.code, "runs already" in second.text) == (2, True), second.text
        run.send_signal(signal.SIGINT)
        assert run.wait(ENDED_S) == 130
    finally:
        run.kill()
        run.wait(ENDED_S)
    services = site.swarm.docker(site.any_node(), "service", "ls", "--format", "{{json .Name}}")
    assert JOB not in map(json.loads, services.splitlines())
    return log.read_text()
