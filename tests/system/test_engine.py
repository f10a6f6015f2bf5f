"""Refresh and destroy act on the engine that is configured, wherever the last deployment went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testing.site import SwarmUnderTest

STACK = "moved"
REGISTRY = f"{STACK}_registry"
LABEL = f"{STACK}.registry-data"
SETTINGS = {
    "registry:stackName": STACK,
    "registry:domain": "moved.example.com",
    "registry:proxy": "stack",
    "registry:network": STACK,
}


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Deploy a stack through an address of the engine that leads nowhere afterwards."""
    environment = site.project.environment
    configured = environment["DOCKER_HOST"]
    former = tmp_path_factory.mktemp("former") / "docker.sock"
    former.symlink_to(configured.removeprefix("unix://"))
    site.project.init(STACK, SETTINGS)
    environment["DOCKER_HOST"] = f"unix://{former}"
    site.project.up(STACK)
    environment["DOCKER_HOST"] = configured
    former.unlink()
    # As `make exports` sets it.
    environment["PULUMI_RUN_PROGRAM"] = "true"


def resources(site: SwarmUnderTest) -> dict[str, dict[str, object]]:
    """Return the resources of the state, by URN."""
    raw = json.loads(site.project.ok("stack", "export", "--stack", STACK))
    return {each["urn"]: each for each in raw["deployment"].get("resources", [])}


def test_a_refresh_asks_the_engine_that_is_configured(site: SwarmUnderTest) -> None:
    before, outputs = resources(site), site.project.outputs(STACK)
    site.project.ok("refresh", "--yes", "--stack", STACK)
    assert set(resources(site)) == set(before)
    assert site.project.outputs(STACK) == outputs
    site.project.ok("preview", "--refresh", "--stack", STACK)


def test_a_refresh_waits_for_no_service_and_sets_no_label(site: SwarmUnderTest) -> None:
    first = site.any_node()
    (holder,) = site.holders(LABEL)
    site.swarm.docker(first, "service", "update", "--detach", "--image", "no:such", REGISTRY)
    site.update_node(holder, "--label-rm", LABEL)
    try:
        # It may be that nobody may deploy now, as the node has no label.
        result = site.project.pulumi("refresh", "--yes", "--stack", STACK)
        assert "doesn't come up" not in result.text
        assert site.holders(LABEL) == []
    finally:
        site.update_node(holder, "--label-add", f"{LABEL}=true")


def test_a_destroy_on_another_swarm_is_refused(site: SwarmUnderTest) -> None:
    # There nothing of the stack is found: all of it would be forgotten, and run on elsewhere.
    state = site.project.ok("stack", "export", "--stack", STACK)
    cluster = site.swarm.docker(site.any_node(), "info", "--format", "{{.Swarm.Cluster.ID}}")
    other = "x" * 25
    assert cluster.strip() in state
    load = ("stack", "import", "--stack", STACK)
    site.project.ok(*load, stdin=state.replace(cluster.strip(), other))
    try:
        refused = site.project.pulumi("destroy", "--yes", "--stack", STACK)
        left = resources(site)
    finally:
        site.project.ok(*load, stdin=state)
    assert refused.code != 0
    assert f"is deployed to swarm {other}" in refused.text
    assert left.keys() == resources(site).keys()
    assert REGISTRY in site.swarm.docker(site.any_node(), "service", "ls")


def test_down_needs_nothing_but_the_engine(site: SwarmUnderTest) -> None:
    # Neither right settings, nor the node of the images, nor a service that runs.
    (holder,) = site.holders(LABEL)
    site.project.set(STACK, "registry:memory", "lots")
    site.update_node(holder, "--availability", "drain")
    try:
        unsaid = site.make("down", f"STACK={STACK}")
        removed = site.make("down", f"STACK={STACK}", "YES=1")
    finally:
        site.update_node(holder, "--availability", "active")
    assert unsaid.code != 0
    assert "add YES=1" in unsaid.text
    assert removed.code == 0, removed.text
    assert "Traceback" not in removed.text
    assert resources(site) == {}
    site.made("down", f"STACK={STACK}", "YES=1")
    first = site.any_node()
    for kind in ("service", "secret", "network"):
        assert STACK not in site.swarm.docker(first, kind, "ls"), kind
    assert site.holders(LABEL) == [holder]
    there = next(node for node in site.swarm.nodes if node.name == holder)
    assert f"{REGISTRY}-data" in site.swarm.docker(there, "volume", "ls"), "the images stay"


def test_down_through_an_engine_out_of_reach_says_which(
    site: SwarmUnderTest, tmp_path: Path
) -> None:
    gone = f"unix://{tmp_path}/docker.sock"
    refused = site.make("down", f"STACK={STACK}", "YES=1", DOCKER_HOST=gone)
    assert refused.code != 0
    assert f"No Docker engine answers at {gone}" in refused.text
