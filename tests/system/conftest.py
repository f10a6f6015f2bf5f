"""A real swarm of three managers, and the program deployed to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bootstrap import images
from testing.acme_server import AcmeServer
from testing.archive import small_image
from testing.hub import Hub
from testing.project import Project
from testing.site import SwarmUnderTest
from testing.testswarm import SUBNET, TestSwarm, remove_abandoned

HUB = f"{SUBNET}.11:5001"
"""Address on the first node for a registry that stands in for Docker Hub in a test."""
PLAIN_DOMAIN, PLAIN_PORT = "plain.example.com", 8081
"""A registry that the engines may ask over plain HTTP."""


LIMIT_S = 900
"""Time limit of a test with its fixtures' deployments, on a busy machine, seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder their time limit, where they have none of their own."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


def pytest_unconfigure() -> None:
    """Remove the swarms of workers that were ended; those in use are locked."""
    if os.geteuid() == 0:
        remove_abandoned()


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    """Fail without root: these tests start Docker engines."""
    assert os.geteuid() == 0, "run the system tests as root"


@pytest.fixture(scope="session")
def swarm() -> Iterator[TestSwarm]:
    """Yield three managers, with the images on each."""
    with TestSwarm(
        images=images.tarballs().values(), insecure=[HUB, f"{PLAIN_DOMAIN}:{PLAIN_PORT}"]
    ) as swarm:
        yield swarm


@pytest.fixture(scope="module")
def site(swarm: TestSwarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmUnderTest]:
    """Yield a fresh checkout that deploys to the swarm's first node; empty the swarm afterwards."""
    folder = tmp_path_factory.mktemp("checkout") / "registry"
    site = SwarmUnderTest(swarm, Project(folder, swarm.nodes[0].host))
    yield site
    site.clean()


@pytest.fixture(scope="session")
def acme_server(swarm: TestSwarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcmeServer]:
    """Yield the ACME server that production gets its certificates from."""
    acme_server = AcmeServer(swarm, tmp_path_factory.mktemp("acme-server"))
    yield acme_server
    acme_server.end()


@pytest.fixture(scope="module")
def hub(swarm: TestSwarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Serve the deployed images as Docker Hub does: their tags have digests."""
    hub = Hub(swarm, tmp_path_factory.mktemp("hub"), images.tarballs())
    yield
    hub.end()


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small image, as `docker save` writes it."""
    return small_image(tmp_path_factory.mktemp("image"))
