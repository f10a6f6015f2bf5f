"""The test swarm is one: what the other system tests rest on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bootstrap import images
from ops.bootstrap.console import UserError, wait
from testing.testswarm import SOON_S, TestSwarm, remove_abandoned

REGISTRY = next(image for image in images.tarballs() if image.startswith("registry:"))
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def swarm() -> Iterator[TestSwarm]:
    with TestSwarm(images=[images.tarballs()[REGISTRY]]) as swarm:
        yield swarm


def test_three_managers_are_ready(swarm: TestSwarm) -> None:
    listed = swarm.docker(
        swarm.nodes[0], "node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"
    )

    assert sorted(listed.splitlines()) == [
        "node1 Ready Leader",
        "node2 Ready Reachable",
        "node3 Ready Reachable",
    ]
    assert len({node.id for node in swarm.nodes}) == 3


def test_a_worker_is_no_manager() -> None:
    with TestSwarm(nodes=2, workers=1) as swarm:
        with pytest.raises(UserError, match="not a swarm manager"):
            swarm.docker(swarm.nodes[1], "node", "ls")
        assert swarm.nodes[1].id in swarm.docker(swarm.nodes[0], "node", "ls", "--quiet")


def test_a_service_is_reached_across_nodes_over_an_overlay_network(swarm: TestSwarm) -> None:
    one, _, three = swarm.nodes
    swarm.docker(one, "network", "create", "--driver", "overlay", "--attachable", "web")
    _serve(
        swarm,
        "web-registry",
        "node2",
        "--network=web",
        "--publish=mode=host,target=5000,published=80",
    )
    fetch = ["wget", "-q", "-O-", "http://web-registry:5000/v2/"]

    inside = ["run", "--rm", "--network=web", "--entrypoint=", REGISTRY, *fetch]

    assert wait("the service", lambda: swarm.docker(three, *inside), SOON_S) == "{}"
    assert _get(swarm, "http://localhost/v2/", "node2") == "{}"
    assert _get(swarm, "http://node2/v2/", "node1") == "{}"
    with pytest.raises(UserError, match="exited with 7"):  # Nothing listens on the other nodes.
        _get(swarm, "http://localhost/v2/", "node1")


def test_names_added_to_the_hosts_file_hold_on_every_node(swarm: TestSwarm) -> None:
    swarm.add_host("registry.example", "198.18.0.99")

    for node in swarm.nodes:
        assert swarm.exec(node, "getent", "hosts", "registry.example").stdout.startswith(
            "198.18.0.99"
        )
    assert "registry.example" not in Path("/etc/hosts").read_text()


def test_a_node_that_lost_its_power_comes_back_with_its_data_and_its_tasks(
    swarm: TestSwarm,
) -> None:
    one, _, three = swarm.nodes
    _serve(swarm, "stays", "node3", "--publish=mode=host,target=5000,published=81")
    wait("the service", lambda: _get(swarm, "http://node3:81/v2/", "node1"), SOON_S)
    swarm.docker(three, "volume", "create", "kept")

    swarm.kill(three)

    with pytest.raises(UserError, match="exited with"):
        _get(swarm, "http://node3:81/v2/", "node1")
    with pytest.raises(UserError, match="node3 is down"):
        swarm.exec(three, "true")
    was = three.id
    swarm.start(three)
    assert swarm.docker(three, "info", "--format", "{{.Swarm.NodeID}}") == was
    assert "kept" in swarm.docker(three, "volume", "ls", "--quiet").split()
    wait("the service to return", lambda: _get(swarm, "http://node3:81/v2/", "node1"), SOON_S)
    assert swarm.docker(one, "node", "ls", "--quiet").count("\n") == 2


@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_swarm_whose_process_is_ended(last: signal.Signals) -> None:
    script = (
        "from testing.testswarm import TestSwarm\n"
        "import signal\n"
        "with TestSwarm(nodes=1) as swarm:\n"
        "    swarm.docker(swarm.nodes[0], 'network', 'create', '-d', 'overlay', 'some')\n"
        "    print(swarm.prefix, swarm.dir, flush=True)\n"
        "    signal.pause()\n"
    )
    before = _interfaces()
    owner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        prefix, folder = (owner.stdout or sys.stdin).readline().split()
        while_up = _traces(prefix, folder)
        owner.send_signal(last)
        owner.wait(SOON_S)
    finally:
        owner.kill()
    assert while_up >= {"processes", "netns", "folder", "mounts"}

    if last == signal.SIGKILL:  # It could not clean up: the next one does.
        remove_abandoned()

    assert _traces(prefix, folder) == set()
    assert _interfaces() == before


def _serve(swarm: TestSwarm, name: str, node: str, *options: str) -> None:
    """Run a registry on one node, without virtual addresses, which need IPVS in the kernel."""
    placement = ["--constraint", f"node.hostname=={node}", "--endpoint-mode=dnsrr"]
    create = ["service", "create", "--detach", "--quiet", "--no-resolve-image"]
    swarm.docker(swarm.nodes[0], *create, "--name", name, *placement, *options, REGISTRY)


def _get(swarm: TestSwarm, url: str, node: str) -> str:
    """Return what a URL answers on a node. Raises UserError when there is no answer."""
    source = next(peer for peer in swarm.nodes if peer.name == node)
    return swarm.exec(source, "curl", "-sS", "--fail", "--max-time", "2", url).stdout


def _traces(prefix: str, folder: str) -> set[str]:
    """Return what is left of a run."""
    commands = [read for path in Path("/proc").glob("[0-9]*/cmdline") if (read := _read(path))]
    traces = {
        "processes": any(folder in command for command in commands),
        "netns": any(Path("/run/netns").glob(f"{prefix}*")),
        "folder": any(Path(tempfile.gettempdir()).glob(f"*{prefix}*")),
        "mounts": prefix in Path("/proc/mounts").read_text(),
        "cgroups": any(
            prefix in name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names
        ),
    }
    return {trace for trace, there in traces.items() if there}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # The process has just ended.
        return ""


def _interfaces() -> list[str]:
    return sorted(path.name for path in Path("/sys/class/net").iterdir())
