"""Services that fail for a while: said in words, and over once their cause is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ops.bootstrap.console import wait
from testing.site import STARTED_S, SwarmUnderTest

NAME = "failing"
DOMAIN = "failing.example.com"
PROXY = f"{NAME}_proxy"
SERVICE = f"{NAME}_registry"
OTHER_PORT = 8081


@pytest.fixture(scope="module", autouse=True)
def _settings(site: SwarmUnderTest) -> None:
    values = {"registry:stackName": NAME, "registry:domain": DOMAIN, "registry:proxy": "stack"}
    # Not on the node whose engine is deployed to, since the tests restart its own.
    where = {"registry:network": NAME, "registry:volumeNode": site.swarm.nodes[1].name}
    site.project.init(NAME, {**values, **where})


@contextlib.contextmanager
def taken(site: SwarmUnderTest, port: int, folder: Path) -> Iterator[None]:
    """Run another program on `port` of each node."""
    server = ("python3", "-m", "http.server", str(port), "--directory", folder)
    others = [
        site.swarm.spawn(node, *server, log=folder / f"{node.name}.log")
        for node in site.swarm.nodes
    ]

    def served() -> bool:
        url = f"http://127.0.0.1:{port}/"
        return all(site.status(url, node=node) == 200 for node in site.swarm.nodes)

    try:
        wait("the port to be taken", served, STARTED_S)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait(30)


def failed_up(site: SwarmUnderTest) -> str:
    """Return what an `up` prints that must fail."""
    failed = site.project.pulumi("up", "--yes", "--skip-preview", "--stack", NAME)
    assert failed.code != 0, failed.text
    assert "Traceback" not in failed.text
    return failed.text


def says_that_it_is_taken(text: str, port: int) -> None:
    """Return the message for it: where, which, and what to type."""
    assert f"on node node{text.partition('on node node')[2][:1]}, port {port} is taken" in text
    assert f"ss -ltnp 'sport = :{port}'" in text
    assert f"pulumi config set --stack {NAME} registry:proxyHttpPort PORT" in text
    assert "In the words of the engine: " in text
    assert f"pulumi up --stack {NAME}" in text


def test_a_port_that_is_taken_is_told_and_once_it_is_free_the_next_up_works(
    site: SwarmUnderTest, tmp_path: Path
) -> None:
    with taken(site, 80, tmp_path):
        says_that_it_is_taken(failed_up(site), 80)
        # A service that was in trouble before this deployment began.
        says_that_it_is_taken(failed_up(site), 80)
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)


def test_an_update_that_was_undone_is_tried_again_by_the_next_up(
    site: SwarmUnderTest, tmp_path: Path
) -> None:
    site.project.set(NAME, "registry:proxyHttpPort", str(OTHER_PORT))
    with taken(site, OTHER_PORT, tmp_path):
        text = failed_up(site)
        says_that_it_is_taken(text, OTHER_PORT)
        assert f"The update of {PROXY} was undone, and the version before runs on" in text
        assert "was undone" in failed_up(site), "what was undone must not pass for deployed"
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
    site.project.ok("preview", "--expect-no-changes", "--refresh", "--stack", NAME)


def test_what_was_rolled_back_to_what_is_wanted_is_left_alone(site: SwarmUnderTest) -> None:
    first = site.swarm.nodes[0]
    for service in (PROXY, SERVICE):
        site.swarm.docker(first, "service", "update", "--env-add", "BY=hand", service)
        site.swarm.docker(first, "service", "rollback", service)
        state = site.inspect("service", service)["UpdateStatus"]["State"]
        assert state == "rollback_completed"
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
    site.project.up(NAME)


def test_a_service_that_has_failed_again_and_again_and_runs_is_deployed(
    site: SwarmUnderTest,
) -> None:
    node = site.swarm.nodes[1]
    for _ in range(3):
        wait("the registry to run", partial(site.tasks, SERVICE), STARTED_S)
        label = f"label=com.docker.swarm.service.name={SERVICE}"
        container = site.swarm.docker(node, "ps", "--quiet", "--filter", label)
        site.swarm.docker(node, "kill", "--signal", "KILL", *container.split())
        wait("the registry to have failed", lambda: not site.tasks(SERVICE), STARTED_S)
    shown = ("service", "ps", SERVICE, "--format", "{{.CurrentState}}")
    states = site.swarm.docker(site.swarm.nodes[0], *shown)
    assert states.count("Failed") >= 3, states
    # While the last one is being replaced; and below, when it has been.
    site.project.up(NAME)
    lose_power, restart_engine = site.swarm.kill, site.swarm.stop
    for end in (lose_power, restart_engine, restart_engine, restart_engine):
        wait("the registry to run", partial(site.tasks, SERVICE), STARTED_S)
        end(node)
        site.swarm.start(node)
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
