"""`make move`: the images go to another node under pushes and pulls, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from components.version import TOOLS_IMAGE
from ops.bootstrap.console import wait
from testing.load import Load
from testing.site import SwarmUnderTest

NAME, DOMAIN, PORT = "moved", "moved.example.com", 8089
HOST = f"{DOMAIN}:{PORT}"
PROXY, LABEL = f"{NAME}_proxy", f"{NAME}.registry-data"
RETRIES = 5
"""As often docker sends a layer again."""
STEP_S = 120
"""Time limit of a step of a move with few images, on a busy machine, seconds."""


def interrupt(site: SwarmUnderTest, node: str, log: Path) -> None:
    """Begin a move, and press Ctrl-C while pushes wait."""
    with log.open("wb") as output:
        run = subprocess.Popen(
            [".venv/bin/python", "-m", "ops", "move", "--stack", NAME, "--node", node],
            cwd=site.project.folder,
            env={**os.environ, **site.project.environment, "YES": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait("pushes to wait", lambda: "the rest is copied" in log.read_text(), STEP_S)
        run.send_signal(signal.SIGINT)
        assert run.wait(STEP_S) == 130
    finally:
        run.kill()
        run.wait(STEP_S)


def test_the_images_go_to_another_node_while_in_use(
    site: SwarmUnderTest, archive: Path, tmp_path: Path
) -> None:
    values = {"stackName": NAME, "domain": DOMAIN, "proxy": "stack", "network": NAME}
    values |= {"proxyHttpPort": str(PORT), "toolsImage": TOOLS_IMAGE}
    site.project.init(NAME, {f"registry:{key}": value for key, value in values.items()})
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    site.resolve(HOST, PROXY)
    digest = site.push(NAME, HOST, "kept:1", archive)
    old = site.node_of(f"{NAME}_registry")
    new = next(node for node in site.swarm.nodes if node not in (old, site.node_of(PROXY)))

    with Load(site, NAME, HOST, PROXY, archive, tmp_path, pulled="kept:1", retries=RETRIES) as load:
        interrupt(site, new.name, tmp_path / "interrupted.log")
        assert site.holders(LABEL) == [old.name]
        moved = site.make("move", f"STACK={NAME}", f"NODE={new.name}", "YES=1", CHECK="no")
    assert moved.code == 0, moved.text
    print(moved.text, f"{load.done} operations, the longest gap {load.gap:.1f} s")
    assert "pushes waited for" in moved.text
    assert f"docker volume rm {NAME}_registry-data" in moved.text
    assert not load.failed, load.failed
    assert site.holders(LABEL) == [new.name]
    assert site.node_of(f"{NAME}_registry") == new
    assert site.digest(NAME, HOST, "kept:1") == digest
    # All that was pushed meanwhile is there, with all its layers.
    for number in (0, 2):
        options = ("--src-creds", site.login(NAME), f"docker://{HOST}/load-{number}-1:1")
        site.skopeo(HOST, "copy", *options, f"dir:{tmp_path / 'again'}")
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
    jobs = site.swarm.docker(site.any_node(), "service", "ls", "-q", "--filter", "name=job")
    assert not jobs.split()
