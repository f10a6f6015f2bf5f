"""The digest of an image: where it comes from, and that it stays what it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.distribution.config import REGISTRY_IMAGE
from ops.bootstrap import images
from testing.hub import Hub
from testing.project import changed
from testing.site import SwarmUnderTest
from testing.testswarm import TestSwarm

NAME = "kept"
SERVICE = f"{NAME}_registry"
TAG = REGISTRY_IMAGE
PASSWORD = "of-somebody-who-may-pull"
LONG = f"docker.io/library/{TAG}"


@pytest.fixture(scope="module", autouse=True)
def _offline(site: SwarmUnderTest) -> None:
    """Deploy a stack while no registry can be asked."""
    values = {"registry:stackName": NAME, "registry:domain": "kept.example.com"}
    values |= {"registry:proxy": "stack", "registry:network": NAME, "registry:image": LONG}
    site.project.init(NAME, values)
    site.project.up(NAME)


@pytest.fixture(scope="module")
def tags(swarm: TestSwarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Let the images' registry answer from here on."""
    hub = Hub(swarm, tmp_path_factory.mktemp("hub"), images.tarballs())
    yield hub
    hub.end()


def running(site: SwarmUnderTest) -> str:
    """Return the service's image."""
    spec = site.inspect("service", SERVICE)["Spec"]
    return str(spec["TaskTemplate"]["ContainerSpec"]["Image"])


def same(site: SwarmUnderTest, *flags: str) -> None:
    """Check that nothing would be changed."""
    site.project.ok("preview", "--expect-no-changes", "--stack", NAME, *flags)


def test_without_a_registry_the_tag_runs_and_nothing_changes_later(site: SwarmUnderTest) -> None:
    assert running(site) == TAG
    same(site)
    same(site, "--refresh")
    assert f"no digest can be had of {TAG}" in site.project.preview(NAME).text


def test_the_next_deployment_that_finds_the_digest_adds_it(site: SwarmUnderTest, tags: Hub) -> None:
    assert tags
    site.project.up(NAME)
    assert running(site).startswith(f"{TAG}@sha256:")
    same(site)


def test_a_tag_that_is_pushed_again_changes_nothing(site: SwarmUnderTest, tags: Hub) -> None:
    digest = running(site)
    tags.push(TAG, TAG, "--format", "oci")
    same(site)
    site.project.up(NAME)
    assert running(site) == digest
    # What the docker client calls the same image is the same.
    for text in (TAG, f"index.docker.io/library/{TAG}", LONG):
        site.project.set(NAME, "registry:image", text)
        same(site)


def test_another_digest_by_hand_is_drift_and_put_back(site: SwarmUnderTest, tags: Hub) -> None:
    digest = running(site)
    other = f"{TAG}@{tags.digest(TAG)}"
    assert other != digest
    node = site.any_node()
    site.swarm.docker(node, "service", "update", "--detach=false", "--image", other, SERVICE)
    assert running(site) == other
    drift = site.make("-s", "drift", f"STACK={NAME}")
    assert drift.code != 0
    assert f"| change | service `{SERVICE}` | image: " in drift.out
    site.project.up(NAME, "--refresh")
    assert running(site) == digest
    same(site, "--refresh")


def test_another_tag_is_resolved_anew(site: SwarmUnderTest, tags: Hub) -> None:
    before = running(site)
    tags.push(TAG, "registry:other", "--format", "oci")
    site.project.set(NAME, "registry:image", "registry:other")
    site.project.up(NAME)
    assert running(site) == f"registry:other@{tags.digest('registry:other')}"
    same(site)
    site.project.set(NAME, "registry:image", TAG)
    site.project.up(NAME)
    assert running(site) == f"{TAG}@{tags.digest(TAG)}" != before
    same(site)


def test_a_stack_without_memory_remembers_what_runs(
    site: SwarmUnderTest, tags: Hub, tmp_path: Path
) -> None:
    # As those are that were deployed before there was a memory.
    digest = running(site)
    tags.push(TAG, TAG)
    assert not digest.endswith(tags.digest(TAG))
    state = json.loads(site.project.ok("stack", "export", "--stack", NAME))
    forget(state["deployment"]["resources"])
    file = tmp_path / "state.json"
    file.write_text(json.dumps(state))
    site.project.ok("stack", "import", "--stack", NAME, "--file", str(file))
    made = {"create pulumi:index:Stash service-images"}
    assert changed(site.project.steps(NAME)) == made
    report = site.make("-s", "preview", f"STACK={NAME}", "FORMAT=markdown")
    assert report.out == f"**{NAME}**: no changes\n"
    site.project.up(NAME)
    assert running(site) == digest
    same(site)


def test_tags_are_asked_for_again_when_that_is_set(site: SwarmUnderTest, tags: Hub) -> None:
    newest = f"{TAG}@{tags.digest(TAG)}"
    assert running(site) != newest
    site.project.set(NAME, "registry:imageRefresh", "2026-11")
    site.project.up(NAME)
    assert running(site) == newest
    same(site)
    tags.push(TAG, TAG, "--format", "oci")
    same(site)


def test_a_private_image_is_pulled_with_the_login_that_nothing_shows(
    site: SwarmUnderTest, tags: Hub, tmp_path: Path
) -> None:
    tags.end()
    hub = Hub(site.swarm, tmp_path, {TAG: images.tarballs()[TAG]}, ("me", PASSWORD))
    try:
        image = f"{hub.address}/library/{TAG}"
        login = f'registry:pullLogins["{hub.address}"]'
        values = {"registry:image": image, f"{login}.username": "me"}
        site.project.configure(NAME, values, {f"{login}.password": PASSWORD})
        texts = [site.project.preview(NAME).text]
        site.project.up(NAME)
        assert running(site) == f"{image}@{hub.digest(TAG)}"
        same(site)
        texts += [site.project.state_text(), json.dumps(site.inspect("service", SERVICE))]
        assert not [text for text in texts if PASSWORD in text]
    finally:
        hub.end()


def forget(resources: list[dict[str, Any]]) -> None:
    """Take the memory of images out of a state."""
    (gone,) = (each for each in resources if each["urn"].endswith("::service-images"))
    resources.remove(gone)
