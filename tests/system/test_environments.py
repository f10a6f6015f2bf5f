"""Local, production and staging as they are committed, together on one swarm of three nodes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from components.version import VERSION
from ops.bootstrap.console import wait
from testing.acme_server import AcmeServer
from testing.project import changed
from testing.site import STARTED_S, SwarmUnderTest

STACKS = {"local": "registry-local", "prod": "registry-com", "stag": "stag-registry-com"}
DOMAINS = {
    "local": "localhost",
    "prod": "registry.tmd.fakhred.in",
    "stag": "stag.registry.tmd.fakhred.in",
}
PROXIES = {
    "local": "registry-local_proxy",
    "prod": "registry-com_proxy",
    "stag": "registry-com_proxy",
}
URLS = {stack: f"{'http' if stack == 'local' else 'https'}://{DOMAINS[stack]}" for stack in STACKS}
EACH = pytest.mark.parametrize("stack", STACKS)


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: SwarmUnderTest, acme_server: AcmeServer) -> None:
    """Deploy all three; production first, whose network staging joins. A volume per node."""
    site.trust(acme_server.root_file)
    # All that differs from what is committed is who certifies.
    for name, value in {"Server": acme_server.directory, "Ca": acme_server.transport_root}.items():
        with (site.project.folder / "Pulumi.prod.yaml").open("a") as file:
            file.write(f"  registry:acme{name}: {json.dumps(value)}\n")
    first = site.swarm.nodes[0]
    # Traefik asks for a certificate as soon as it knows a domain, and once: it must lead somewhere.
    for stack in ("prod", "stag"):
        site.swarm.add_host(DOMAINS[stack], first.ip)
    for node, stack in zip(site.swarm.nodes, ("prod", "stag", "local"), strict=True):
        proxy = {"registry:certificatesNode": first.name} if stack == "prod" else {}
        site.project.init(stack, {"registry:volumeNode": node.name, **proxy})
        site.project.up(stack)


@pytest.fixture(scope="module")
def pushed(site: SwarmUnderTest, archive: Path) -> dict[str, str]:
    """Return the digest of the image `hello:1` in each registry."""
    digests = {}
    for stack, domain in DOMAINS.items():
        site.serves(stack, domain, PROXIES[stack])
        digests[stack] = site.push(stack, domain, "hello:1", archive)
    return digests


@EACH
def test_the_second_deployment_changes_nothing(site: SwarmUnderTest, stack: str) -> None:
    site.project.up(stack, "--expect-no-changes")
    site.project.ok("preview", "--expect-no-changes", "--stack", stack)
    site.project.ok("refresh", "--yes", "--expect-no-changes", "--stack", stack)
    site.project.ok("preview", "--expect-no-changes", "--stack", stack)


def test_another_domain_shows_as_the_changed_labels_of_one_service(site: SwarmUnderTest) -> None:
    domain = "registry:domain"
    site.project.set("stag", domain, "other.example.com")
    (step,) = site.project.steps("stag")
    site.project.set("stag", domain, DOMAINS["stag"])
    assert changed([step]) == {"update docker:index/service:Service registry-service"}
    assert {re.split(r"[.\[]", path)[0] for path in step["detailedDiff"]} == {"labels"}
    # The rules of the routers of HTTP and HTTPS.
    assert len(step["detailedDiff"]) == 2


def test_every_registry_answers_at_its_own_name_to_its_own_login_only(
    site: SwarmUnderTest, pushed: dict[str, str]
) -> None:
    assert set(pushed) == set(STACKS)
    for stack in STACKS:
        assert site.project.outputs(stack)["version"] == VERSION
        node = site.node_of(PROXIES[stack])
        url = f"{URLS[stack]}/v2/"
        assert site.status(url, node=node) == 401
        for other in STACKS:
            expected = 200 if other == stack else 401
            assert site.status(url, site.login(other), node) == expected, (stack, other)
    local = site.node_of(PROXIES["local"])
    for stranger in (f"http://{local.ip}/v2/", "http://localhost.localdomain/v2/"):
        assert site.status(stranger, node=local) in (0, 503)


def test_traefiks_ui_is_there_in_development_only(site: SwarmUnderTest) -> None:
    local, main = site.node_of(PROXIES["local"]), site.node_of(PROXIES["prod"])
    assert site.status("http://localhost:8090/dashboard/", node=local) == 200
    for port in (8080, 8090):
        assert site.status(f"http://{main.ip}:{port}/dashboard/", node=main) == 0


def test_docker_and_skopeo_bring_back_what_they_pushed(
    site: SwarmUnderTest, archive: Path, tmp_path: Path
) -> None:
    node, swarm = site.node_of(PROXIES["local"]), site.swarm
    user, _, password = site.login("local").partition(":")
    swarm.exec(node, "docker", "login", "-u", user, "--password-stdin", "localhost", stdin=password)
    swarm.docker(node, "load", "--input", archive)
    swarm.docker(node, "tag", "hello:1", "localhost/team/hello:1")
    output = swarm.exec(node, "docker", "push", "localhost/team/hello:1").stdout
    digest = re.search(r"sha256:[0-9a-f]{64}", output)
    assert digest
    swarm.docker(node, "image", "rm", "localhost/team/hello:1", "hello:1")
    assert digest[0] in swarm.exec(node, "docker", "pull", "localhost/team/hello:1").stdout
    assert digest[0] == site.digest("local", "localhost", "team/hello:1")
    creds = (f"--{side}-creds={user}:{password}" for side in ("src", "dest"))
    images = ("docker://localhost/team/hello:1", "docker://localhost/copy:1")
    site.skopeo("localhost", "copy", *creds, *images)
    assert digest[0] == site.digest("local", "localhost", "copy:1")
    swarm.exec(node, "docker", "logout", "localhost")
    assert not list(tmp_path.iterdir())


def test_no_name_or_router_of_one_stack_is_anothers(site: SwarmUnderTest) -> None:
    routers: list[str] = []
    for name in STACKS.values():
        labels = site.inspect("service", f"{name}_registry")["Spec"]["Labels"]
        assert labels["com.docker.stack.namespace"] == name
        routers += [key for key in labels if key.endswith(".rule")]
        assert site.swarm.docker(site.any_node(), "stack", "ps", "-q", name)
        assert site.holders(f"{name}.registry-data") == [site.node_of(f"{name}_registry").name]
    assert len(routers) == 5, "one for HTTP each, one for HTTPS where there is that"
    assert len(set(routers)) == len(routers)


def test_docker_auto_labels_finds_nothing_to_do(site: SwarmUnderTest, tmp_path: Path) -> None:
    before = [site.labels(node) for node in site.swarm.nodes]
    for name in STACKS.values():
        spec = site.inspect("service", f"{name}_registry")["Spec"]["TaskTemplate"]
        (constraint,) = spec["Placement"]["Constraints"]
        assert constraint == f"node.labels.{name}.registry-data == true"
        site.auto_labels(tmp_path, constraint)
    assert [site.labels(node) for node in site.swarm.nodes] == before


def test_volumes_carry_the_stacks_label_wherever_they_were_made(site: SwarmUnderTest) -> None:
    for name in STACKS.values():
        node = site.node_of(f"{name}_registry")
        template = '{{index .Labels "com.docker.stack.namespace"}}'
        shown = site.swarm.docker(
            node, "volume", "inspect", "--format", template, f"{name}_registry-data"
        )
        assert shown == name


@EACH
def test_the_image_is_there_after_the_node_came_back(
    site: SwarmUnderTest, pushed: dict[str, str], stack: str
) -> None:
    node = site.node_of(f"{STACKS[stack]}_registry")
    site.swarm.kill(node)
    site.swarm.start(node)
    assert site.node_of(f"{STACKS[stack]}_registry") is node
    site.serves(stack, DOMAINS[stack], PROXIES[stack])

    def intact() -> bool:
        return site.digest(stack, DOMAINS[stack], "hello:1") == pushed[stack]

    # Swarm may end the task that came back with the node, and start another one.
    wait("the image", intact, STARTED_S)


def test_a_node_that_is_down_or_drained_stops_a_deployment_in_the_preview(
    site: SwarmUnderTest,
) -> None:
    node = site.node_of("stag-registry-com_registry")
    manager = site.swarm.nodes[0]
    assert node is not manager
    site.update_node(node.id, "--availability", "drain")
    try:
        drained = site.project.preview("stag")
    finally:
        site.update_node(node.id, "--availability", "active")
    assert drained.code != 0
    assert f"on node {node.name} ({node.id}), which is drained" in drained.text
    site.swarm.kill(node)
    try:
        state = ("node", "inspect", "--format", "{{.Status.State}}", node.id)
        wait("the node to count as down", lambda: site.swarm.docker(manager, *state) == "down", 150)
        down = site.project.preview("stag")
    finally:
        site.swarm.start(node)
    assert down.code != 0
    assert f"on node {node.name} ({node.id}), which is down" in down.text
    for result in (drained, down):
        assert "Traceback" not in result.text
    assert site.node_of("stag-registry-com_registry") is node


@EACH
def test_the_image_is_there_after_destroying_and_deploying_again(
    site: SwarmUnderTest, pushed: dict[str, str], stack: str
) -> None:
    before = site.node_of(f"{STACKS[stack]}_registry")
    if stack == "prod":
        # Its network can't go while staging is on it.
        site.project.ok("destroy", "--yes", "--stack", "stag")
    site.project.ok("destroy", "--yes", "--stack", stack)
    assert site.holders(f"{STACKS[stack]}.registry-data") == [before.name]
    # The label alone, with nothing in the configuration and nothing in the state.
    site.project.unset(stack, "registry:volumeNode")
    site.project.up(stack)
    if stack == "prod":
        site.project.up("stag")
    assert site.node_of(f"{STACKS[stack]}_registry") is before
    site.serves(stack, DOMAINS[stack], PROXIES[stack])
    assert site.digest(stack, DOMAINS[stack], "hello:1") == pushed[stack]
