"""Updates of a registry with one volume on one node, while clients work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.distribution.config import REGISTRY_IMAGE
from testing.load import Load
from testing.site import SwarmUnderTest

NAME = "single"
DOMAIN = "single.example.com"
PROXY = f"{NAME}_proxy"
OTHER = "registry:the-same"
IMAGE = "kept:1"
GAP_S = 15
"""Longer than this nobody's retries would last; what was measured is in docs/operations.md."""


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: SwarmUnderTest, archive: Path) -> None:
    for node in site.swarm.nodes:
        site.swarm.docker(node, "tag", REGISTRY_IMAGE, OTHER)
    values = {"registry:stackName": NAME, "registry:domain": DOMAIN, "registry:proxy": "stack"}
    site.project.init(NAME, {**values, "registry:network": NAME})
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    site.push(NAME, DOMAIN, IMAGE, archive)


def test_clients_own_retries_get_them_over_an_update(
    site: SwarmUnderTest, archive: Path, tmp_path: Path
) -> None:
    project, before = site.project, site.digest(NAME, DOMAIN, IMAGE)
    load = Load(site, NAME, DOMAIN, PROXY, archive, tmp_path, pulled=IMAGE, retries=3)
    with load:
        project.set(NAME, "registry:image", OTHER)
        project.up(NAME)
        project.set(NAME, "registry:config.log.level", "warn", "--path")
        project.up(NAME)
        for key, user in (("registry:users[0]", "admin"), ("registry:users[1]", "ci")):
            project.set(NAME, key, user, "--path")
        project.up(NAME)
    measured = {"done": load.done, "refused": load.refused, "gap_s": round(load.gap, 2)}
    print(json.dumps(measured))
    assert load.failed == [], f"{len(load.failed)} of {load.done}"
    assert load.done > 10
    assert load.gap < GAP_S
    assert site.digest(NAME, DOMAIN, IMAGE) == before
