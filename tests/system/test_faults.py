"""What clients are answered while something of the registry is away, and how it comes back."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from ops.bootstrap.console import wait
from testing.site import AWAY, STARTED_S, SwarmUnderTest
from testing.watch import Watch

NAME = "faulty"
DOMAIN = "faulty.example.com"
SERVICE = f"{NAME}_registry"
PROXY = f"{NAME}_proxy"
URL = f"http://{DOMAIN}/v2/"


@pytest.fixture(scope="module", autouse=True)
def image(site: SwarmUnderTest, archive: Path) -> str:
    """Return the digest of an image that was pushed before."""
    values = {"registry:stackName": NAME, "registry:domain": DOMAIN, "registry:proxy": "stack"}
    site.project.init(NAME, {**values, "registry:network": NAME})
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    return site.push(NAME, DOMAIN, "hello:1", archive)


def kill(site: SwarmUnderTest, service: str) -> None:
    """End the service's task without a word; return when another one runs."""
    site.node_of(service)  # It waits until one runs.
    ((container, node),) = site.containers(service).items()
    site.swarm.docker(node, "kill", "--signal", "KILL", container)

    def replaced() -> bool:
        # Traefik's may be on another manager.
        return bool(site.containers(service).keys() - {container})

    wait(f"another task of {service}", replaced, STARTED_S)
    site.serves(NAME, DOMAIN, PROXY)


def test_while_no_task_runs_clients_are_told_to_come_back(site: SwarmUnderTest, image: str) -> None:
    node, login = site.resolve(DOMAIN, PROXY), site.login(NAME)
    with Watch(site, URL, login, node) as watch:
        for _ in range(3):
            kill(site, SERVICE)
        site.swarm.docker(node, "service", "scale", "--detach", f"{SERVICE}=0")
        wait("nobody to be there", lambda: site.status(URL, login, node) == 503, STARTED_S)
        asked = ("curl", "-s", "-D", "-", "-o", "/dev/null", "--max-time", "10", URL)
        headers = site.swarm.exec(node, *asked).stdout.lower()
        assert "retry-after: 5" in headers
        site.swarm.docker(node, "service", "scale", "--detach", f"{SERVICE}=1")
        site.serves(NAME, DOMAIN, PROXY)
    assert watch.other_than(200, *AWAY) == []
    assert 503 in watch.statuses
    assert site.digest(NAME, DOMAIN, "hello:1") == image


def test_when_traefik_dies_it_comes_back_and_no_image_seems_to_be_missing(
    site: SwarmUnderTest,
) -> None:
    node = site.resolve(DOMAIN, PROXY)
    with Watch(site, URL, site.login(NAME), node) as watch:
        kill(site, PROXY)
    # 0: nobody listens for a moment.
    assert watch.other_than(0, 404, 200, *AWAY) == []
    # Traefik listens some hundredths of a second before it has read any configuration.
    for before, answer in pairwise(watch.answers):
        assert answer.status != 404 or before.status in {0, 404}


def test_after_all_that_the_next_deployment_finds_nothing_to_do(site: SwarmUnderTest) -> None:
    site.project.up(NAME)
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
