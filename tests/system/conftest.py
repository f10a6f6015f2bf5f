"""A real swarm of three managers, and the program deployed to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import images

from .project import Project
from .testswarm import TestSwarm

DOMAINS = {
    "local": "localhost",
    "prod": "registry.tmd.fakhred.in",
    "stag": "stag.registry.tmd.fakhred.in",
}


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    """These tests start Docker engines: they can't run without root, and so they fail."""
    assert os.geteuid() == 0, "run the system tests as root"


@pytest.fixture(scope="session")
def swarm() -> Iterator[TestSwarm]:
    """Three managers, with the images on each."""
    with TestSwarm(
        images=images.tarballs().values(), insecure=[*DOMAINS.values(), "127.0.0.1:5001"]
    ) as swarm:
        yield swarm


@pytest.fixture(scope="module")
def project(swarm: TestSwarm, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A fresh checkout that deploys to the swarm's first node."""
    folder: Path = tmp_path_factory.mktemp("checkout")
    return Project(folder, swarm.nodes[0].host)
