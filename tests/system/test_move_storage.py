"""`make move`: from files to a folder of a bucket, and back, under pushes and pulls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.version import TOOLS_IMAGE
from testing.go_tests import NEEDS_GO, assert_passes, compile_tests
from testing.load import Load
from testing.site import SwarmUnderTest
from testing.store import BUCKET, DRIVER, Store

NAME, DOMAIN, PORT = "stored", "stored.example.com", 8091
HOST = f"{DOMAIN}:{PORT}"
PROXY, LABEL = f"{NAME}_proxy", f"{NAME}.registry-data"
RETRIES = 5
"""As often docker sends a layer again."""
COPIES_S = 240
"""Time limit for the copies from each kind of storage to the other, on a busy machine, seconds."""


@pytest.fixture
def store(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(site.swarm, tmp_path_factory.mktemp("store"))
    yield store
    store.end()


def test_the_images_go_to_a_bucket_and_back_while_in_use(
    site: SwarmUnderTest, store: Store, archive: Path, tmp_path: Path
) -> None:
    values = {"stackName": NAME, "domain": DOMAIN, "proxy": "stack", "network": NAME}
    values |= {"proxyHttpPort": str(PORT), "toolsImage": TOOLS_IMAGE}
    site.project.init(NAME, {f"registry:{key}": value for key, value in values.items()})
    site.project.up(NAME)
    site.serves(NAME, DOMAIN, PROXY)
    site.resolve(HOST, PROXY)
    digest = site.push(NAME, HOST, "kept:1", archive)
    home = site.node_of(f"{NAME}_registry")

    def move(removal: str) -> None:
        """Have the images go to the storage of the settings; `removal` is of the old one."""
        moved = site.make("move", f"STACK={NAME}", "YES=1", CHECK="no")
        print(moved.text)
        assert moved.code == 0, moved.text
        assert "pushes waited for" in moved.text
        assert removal in moved.text

    with Load(site, NAME, HOST, PROXY, archive, tmp_path, pulled="kept:1", retries=RETRIES) as load:
        folder = {f"{DRIVER}.rootdirectory": "/folder"}
        site.project.configure(NAME, store.settings | folder, store.secrets)
        refused = site.project.preview(NAME)
        assert refused.code != 0
        assert f"make move STACK={NAME}" in refused.text
        move(f"docker volume rm {NAME}_registry-data")
        site.project.unset(NAME, "registry:config")
        site.project.unset(NAME, "registry:storageCa")
        move(f"s3://{BUCKET}/folder/docker/registry/")
    print(f"{load.done} operations, the longest gap {load.gap:.1f} s")
    assert not load.failed, load.failed
    assert site.holders(LABEL) == [home.name]
    assert site.digest(NAME, HOST, "kept:1") == digest
    # All that was pushed meanwhile is there, with all its layers.
    for number in (0, 2):
        options = ("--src-creds", site.login(NAME), f"docker://{HOST}/load-{number}-1:1")
        site.skopeo(HOST, "copy", *options, f"dir:{tmp_path / 'again'}")
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME)
    jobs = site.swarm.docker(site.any_node(), "service", "ls", "-q", "--filter", "name=job")
    assert not jobs.split()


@NEEDS_GO
def test_a_copy_under_load_that_is_killed_completes_later(tmp_path: Path) -> None:
    program = compile_tests("move", tmp_path)
    assert_passes(program, "TestUnderLoadAllGoesToAnotherStorage", {"LOAD_KILLS": "3"}, COPIES_S)
