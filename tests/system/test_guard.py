"""Placement, wrong settings and failed updates: what is refused, and that nothing is lost.

One file, since its tests share what they deploy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.distribution.config import REGISTRY_IMAGE
from ops.bootstrap.console import wait
from testing.project import Project, changed
from testing.site import SwarmUnderTest
from testing.testswarm import SOON_S

from .conftest import HUB

NAME = "guarded"
LABEL = f"{NAME}.registry-data"
SERVICE = f"{NAME}_registry"
PROXY = f"{NAME}_proxy"
DOMAIN = "guarded.example.com"


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: SwarmUnderTest) -> None:
    """Deploy a stack with a Traefik of its own."""
    site.project.init(
        "dev",
        {
            "registry:stackName": NAME,
            "registry:domain": DOMAIN,
            "registry:proxy": "stack",
            "registry:network": NAME,
        },
    )
    site.project.up("dev")


@pytest.fixture
def unchanged(site: SwarmUnderTest) -> Iterator[None]:
    """Check that each service of the stack stays as it is, whatever the test does."""

    def now() -> tuple[object, ...]:
        versions = [site.inspect("service", name)["Version"] for name in (SERVICE, PROXY)]
        return *versions, site.node_of(SERVICE).name

    before = now()
    yield
    assert now() == before


def refused(project: Project, stack: str = "dev") -> str:
    """Return the refusal of a preview, which is that of a deployment without one."""
    preview = project.preview(stack)
    deployment = project.pulumi("up", "--yes", "--skip-preview", "--stack", stack)
    assert preview.code != 0
    assert deployment.code != 0
    for result in (preview, deployment):
        assert "Traceback" not in result.text
    return preview.text


def set_label(site: SwarmUnderTest, node: str, value: str | None) -> None:
    change = ("--label-rm", LABEL) if value is None else ("--label-add", f"{LABEL}={value}")
    site.update_node(node, *change)


@pytest.mark.usefixtures("unchanged")
def test_the_label_on_two_nodes_is_refused(site: SwarmUnderTest) -> None:
    other = next(node.name for node in site.swarm.nodes if node.name not in site.holders(LABEL))
    set_label(site, other, "true")
    try:
        text = refused(site.project)
    finally:
        set_label(site, other, None)
    assert f"The label {LABEL} is on 2 nodes" in text
    assert f"docker node update --label-rm {LABEL}" in text


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("named", ["nobody", "another"])
def test_a_wrong_node_is_refused(site: SwarmUnderTest, named: str) -> None:
    (holder,) = site.holders(LABEL)
    other = next(node.name for node in site.swarm.nodes if node.name != holder)
    site.project.set("dev", "registry:volumeNode", "cow" if named == "nobody" else other)
    try:
        text = refused(site.project)
    finally:
        site.project.unset("dev", "registry:volumeNode")
    if named == "nobody":
        assert "registry:volumeNode is 'cow', which is no node of the swarm" in text
    else:
        assert f"the images are on node {holder}" in text
        assert f"make move NODE={other} STACK=dev" in text
        assert f"pulumi config set --stack dev registry:volumeMovedFrom {holder}" in text


@pytest.mark.usefixtures("unchanged")
def test_another_stack_name_would_leave_the_images_behind_and_is_refused(
    site: SwarmUnderTest,
) -> None:
    site.project.set("dev", "registry:stackName", "renamed")
    try:
        text = refused(site.project)
    finally:
        site.project.set("dev", "registry:stackName", NAME)
    assert f"The images are in volume {NAME}_registry-data" in text
    assert f"pulumi config set --stack dev registry:volumeName {NAME}_registry-data" in text


def test_a_label_that_left_its_node_is_refused_and_put_back(site: SwarmUnderTest) -> None:
    (holder,) = site.holders(LABEL)
    other = next(node.name for node in site.swarm.nodes if node.name != holder)
    set_label(site, holder, None)
    set_label(site, other, "true")
    try:
        text = refused(site.project)
    finally:
        set_label(site, other, None)
        set_label(site, holder, "true")
    assert f"The images are on node {holder}" in text
    assert site.node_of(SERVICE).name == holder


def test_many_wrong_settings_are_told_at_once_and_nothing_is_touched(site: SwarmUnderTest) -> None:
    wrong = {
        "registry:stackName": "Wrong Name",
        "registry:domain": "https://registry.example.com/",
        "registry:proxy": "nginx",
        "registry:memory": "lots",
        "registry:users": "admin",
        "registry:image": "registry",
        "registry:volumeNode": "a b",
        "registry:proxyHttpPort": "eighty",
        "registry:config": "debug",
        "registry:domian": "registry.example.com",
        "docker:host": "somewhere",
    }
    before = site.swarm.docker(site.swarm.nodes[0], "service", "ls", "-q")
    site.project.init("wrong", wrong)
    text = refused(site.project, "wrong")
    assert f"{len(wrong)} settings of stack wrong are wrong; nothing was touched" in text
    for key in wrong:
        assert f"- {key} " in text, key
    assert site.swarm.docker(site.swarm.nodes[0], "service", "ls", "-q") == before
    site.project.unset("wrong", "docker:host")  # Which engine has to be known to remove a stack.
    site.project.remove("wrong")


def test_a_network_to_join_must_be_there_and_an_overlay(site: SwarmUnderTest) -> None:
    node = site.swarm.nodes[0]
    values = {"registry:stackName": "joiner", "registry:domain": "joiner.example.com"}
    site.project.init("joiner", {**values, "registry:network": "nowhere"})
    text = refused(site.project, "joiner")
    assert "registry:network is 'nowhere', and the swarm has no such network" in text
    assert "docker network create --driver overlay --attachable nowhere" in text
    site.project.set("joiner", "registry:network", "bridge")
    assert "services need an overlay network" in refused(site.project, "joiner")
    assert "joiner" not in site.swarm.docker(node, "service", "ls")
    site.project.remove("joiner")


@pytest.mark.usefixtures("unchanged")
def test_a_network_that_is_there_cant_be_encrypted(site: SwarmUnderTest) -> None:
    site.project.set("dev", "registry:encryptNetwork", "true")
    try:
        text = refused(site.project)
    finally:
        site.project.unset("dev", "registry:encryptNetwork")
    assert f"network {NAME} is there and isn't encrypted" in text
    assert "pulumi config set --stack dev registry:network NAME" in text


@pytest.mark.parametrize("service", [SERVICE, PROXY])
def test_a_service_that_was_scaled_by_hand_is_scaled_back_in_place(
    site: SwarmUnderTest, service: str
) -> None:
    before = site.inspect("service", service)["ID"]
    site.swarm.docker(site.any_node(), "service", "scale", "--detach", f"{service}=0")
    steps = changed(site.project.steps("dev", "--refresh"))
    assert {step.split()[0] for step in steps if ":Service " in step} - {"refresh"} == {"update"}
    site.project.up("dev", "--refresh")
    assert site.inspect("service", service)["ID"] == before
    site.serves("dev", DOMAIN, PROXY)


def test_an_engine_out_of_reach_is_one_clear_error(site: SwarmUnderTest) -> None:
    project = site.project
    host = project.environment["DOCKER_HOST"]
    project.environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    try:
        text = refused(project)
    finally:
        project.environment["DOCKER_HOST"] = host
    assert "No Docker engine answers at unix:///nowhere/docker.sock" in text


def test_an_update_that_fails_is_undone_and_told_and_the_next_one_works(
    site: SwarmUnderTest,
) -> None:
    site.serves("dev", DOMAIN, PROXY)
    site.project.set("dev", "registry:image", "registry:no-such-tag")
    failed = site.project.pulumi("up", "--yes", "--stack", "dev")
    assert failed.code != 0
    assert "No such image: registry:no-such-tag" in failed.text
    assert "the version before runs on" in failed.text
    assert "unhandled error" not in failed.text, "Pulumi adds nothing vaguer"
    site.serves("dev", DOMAIN, PROXY)
    repeated = site.project.pulumi("up", "--yes", "--stack", "dev")
    assert repeated.code != 0, "what was undone must not pass for deployed"
    site.project.unset("dev", "registry:image")
    site.project.up("dev", "--refresh")
    site.project.ok("preview", "--expect-no-changes", "--stack", "dev")
    site.serves("dev", DOMAIN, PROXY)


def test_a_rollback_by_hand_works_after_a_deployment(site: SwarmUnderTest) -> None:
    before = site.inspect("service", SERVICE)["Spec"]["TaskTemplate"]
    for node in site.swarm.nodes:
        site.swarm.docker(node, "tag", REGISTRY_IMAGE, "registry:the-same")
    site.project.set("dev", "registry:image", "registry:the-same")
    site.project.up("dev")
    roll_back(site, SERVICE)
    assert site.inspect("service", SERVICE)["Spec"]["TaskTemplate"] == before
    site.serves("dev", DOMAIN, PROXY)
    site.project.unset("dev", "registry:image")
    site.project.up("dev", "--refresh")


def test_a_rollback_by_hand_to_secrets_that_are_gone_changes_nothing(site: SwarmUnderTest) -> None:
    site.project.set("dev", "registry:config.log.level", "warn", "--path")
    site.project.up("dev")
    tasks = site.swarm.docker(site.any_node(), "service", "ps", "-q", SERVICE)
    template = site.inspect("service", SERVICE)["Spec"]["TaskTemplate"]
    roll_back(site, SERVICE)
    assert site.inspect("service", SERVICE)["Spec"]["TaskTemplate"] == template
    assert site.swarm.docker(site.any_node(), "service", "ps", "-q", SERVICE) == tasks
    site.serves("dev", DOMAIN, PROXY)
    site.project.ok("preview", "--expect-no-changes", "--refresh", "--stack", "dev")
    site.project.unset("dev", "registry:config")
    site.project.up("dev")


def roll_back(site: SwarmUnderTest, service: str) -> None:
    """Run `docker service rollback`, until it has ended."""
    args = ("service", "rollback", "--detach=false", "--quiet", service)
    site.swarm.docker(site.any_node(), *args, timeout=180)


@pytest.mark.usefixtures("unchanged")
def test_a_constraint_that_the_images_node_does_not_meet_is_refused(site: SwarmUnderTest) -> None:
    site.project.set("dev", "registry:constraints[0]", "node.labels.disk == none", "--path")
    try:
        text = refused(site.project)
    finally:
        site.project.unset("dev", "registry:constraints")
    assert "where node.labels.disk == none doesn't hold" in text


def test_a_tag_that_gets_its_digest_from_a_registry_makes_no_difference_later(
    site: SwarmUnderTest,
) -> None:
    first = site.swarm.nodes[0]
    image = f"{HUB}/{REGISTRY_IMAGE}"
    run = ("run", "--detach", "--name", "hub", "--publish", "5001:5000", REGISTRY_IMAGE)
    site.swarm.docker(first, *run)
    try:
        site.swarm.docker(first, "tag", REGISTRY_IMAGE, image)
        # It has to listen first.
        wait("the image to be pushed", lambda: site.swarm.docker(first, "push", image), SOON_S)
        values = {"registry:domain": "pinned.example.com", "registry:network": NAME}
        name = {"registry:stackName": "pinned", "registry:image": image}
        site.project.init("pinned", {**values, **name})
        site.project.up("pinned")
        spec = site.inspect("service", "pinned_registry")["Spec"]["TaskTemplate"]
        assert spec["ContainerSpec"]["Image"].startswith(f"{image}@sha256:")
        site.project.ok("preview", "--expect-no-changes", "--stack", "pinned")
        site.project.ok("refresh", "--yes", "--stack", "pinned")
        site.project.ok("preview", "--expect-no-changes", "--stack", "pinned")
        site.project.remove("pinned")
    finally:
        site.swarm.docker(first, "rm", "--force", "--volumes", "hub")


def test_a_move_that_is_asked_for_by_name_is_done(site: SwarmUnderTest) -> None:
    (holder,) = site.holders(LABEL)
    other = next(node.name for node in site.swarm.nodes if node.name != holder)
    site.project.set("dev", "registry:volumeNode", other)
    site.project.set("dev", "registry:volumeMovedFrom", holder)
    site.project.up("dev")
    assert site.holders(LABEL) == [other]
    assert site.node_of(SERVICE).name == other
    site.project.ok("preview", "--expect-no-changes", "--stack", "dev")
    site.project.unset("dev", "registry:volumeMovedFrom")
    site.project.ok("preview", "--expect-no-changes", "--stack", "dev")


@pytest.mark.parametrize("tool", ["docker-auto-labels", "docker node update"])
def test_a_label_that_is_there_is_adopted(site: SwarmUnderTest, tool: str, tmp_path: Path) -> None:
    name = f"by-{tool.replace(' ', '-')}"
    label = f"{name}.registry-data"
    if tool == "docker-auto-labels":
        site.auto_labels(tmp_path, f"node.labels.{label} == true")
    else:
        node = site.swarm.nodes[1]
        site.update_node(node.name, "--label-add", f"{label}=true")
    (chosen,) = site.holders(label)
    values = {"registry:domain": f"{name}.example.com", "registry:network": NAME}
    site.project.init(name, {**values, "registry:stackName": name})
    site.project.up(name)
    assert site.node_of(f"{name}_registry").name == chosen
    assert site.holders(label) == [chosen]
    site.project.remove(name)
