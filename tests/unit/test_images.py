"""Which image a setting means: how docker writes it, and the digest that goes with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import docker.errors
import pulumi
import pytest

from components.swarm import images
from components.swarm.engine import Engine
from components.swarm.images import (
    MEMORY,
    REFRESH,
    familiar,
    pin_images,
    refresh_images,
    remember_images,
    remember_refresh,
)
from components.swarm.pull_login import PullLogin, registry_of
from settings.rules import IMAGE

from .conftest import Deploy, swarm

A, B = (f"sha256:{letter * 64}" for letter in "ab")


class Hub:
    """An engine that knows digests of images, or says why it doesn't."""

    def __init__(self, digest: str | None) -> None:
        self.asked: list[str] = []
        self.digest = digest

    def inspect_distribution(self, image: str) -> dict[str, Any]:
        self.asked.append(image)
        if self.digest is None:
            raise docker.errors.APIError("403", explanation="access to /distribution is denied")
        return {"Descriptor": {"digest": self.digest}}


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the warnings."""
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warnings.append)
    return warnings


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Make the engine find digest B for all images."""
    hub = Hub(B)

    @contextlib.contextmanager
    def connected(_: object) -> Iterator[Hub]:
        yield hub

    monkeypatch.setattr(images, "connected", connected)
    return hub


def pin(
    image: str, remembered: dict[str, str] | None = None, *, running: str = "", **more: str
) -> str:
    """Return the image that service `registry` gets; `more` are those of other services."""
    there = swarm(s_registry=running)
    return pin_images(there, "s", {"registry": image, **more}, remembered)["registry"]


@pytest.mark.parametrize(
    ("image", "form"),
    [
        ("registry:3.1.2", "registry:3.1.2"),
        ("library/registry:3.1.2", "registry:3.1.2"),
        ("docker.io/registry:3.1.2", "registry:3.1.2"),
        ("docker.io/library/registry:3.1.2", "registry:3.1.2"),
        ("index.docker.io/library/registry:3.1.2", "registry:3.1.2"),
        (f"docker.io/library/registry:3.1.2@{A}", f"registry:3.1.2@{A}"),
        ("docker.io/distribution/distribution:edge", "distribution/distribution:edge"),
        ("docker.io/library/a/b:1", "library/a/b:1"),
        ("ghcr.io/library/registry:1", "ghcr.io/library/registry:1"),
        ("localhost/registry:1", "localhost/registry:1"),
        ("localhost:5000/library/registry:1", "localhost:5000/library/registry:1"),
        ("Hub/registry:1", "Hub/registry:1"),
    ],
)
def test_an_image_is_written_as_docker_writes_it(image: str, form: str) -> None:
    assert familiar(image) == form
    assert familiar(form) == form


@pytest.mark.parametrize(
    "image",
    [
        "registry:3",
        "localhost:5000/a/b:1",
        "[::1]:5000/a:1",
        "Registry.Example.com/a:1",
        "a__b/c---d/e.f_g:V1.0-rc_1",
        f"registry:3@{A}",
    ],
)
def test_image_names_that_docker_takes_are_taken(image: str) -> None:
    assert IMAGE.admits(image)


@pytest.mark.parametrize(
    "image",
    [
        "registry",
        f"registry@{A}",
        "registry:3:1",
        "Registry:3",
        "a/B:1",
        "a..b:1",
        "-a:1",
        "a/:1",
        "registry:",
        "registry:ü",
        f"registry:3@sha256:{'A' * 64}",
        f"{'a' * 256}:1",
        "https://ghcr.io/a:1",
    ],
)
def test_other_image_names_are_refused(image: str) -> None:
    assert not IMAGE.admits(image)


def test_a_new_image_gets_its_registrys_digest(hub: Hub, warnings: list[str]) -> None:
    assert pin("docker.io/library/registry:3.1.2") == f"registry:3.1.2@{B}"
    assert hub.asked == ["registry:3.1.2"]
    assert not warnings


def test_a_stack_without_memory_goes_on_with_what_it_runs(hub: Hub) -> None:
    assert pin("registry:3.1.2", running=f"registry:3.1.2@{A}") == f"registry:3.1.2@{A}"
    assert not hub.asked


def test_what_is_remembered_counts_and_not_what_somebody_made_run(hub: Hub) -> None:
    memory = {"registry": f"registry:3.1.2@{A}"}
    for running in (f"registry:3.1.2@{B}", "registry:3.1.2", "evil:1", ""):
        assert pin("registry:3.1.2", memory, running=running) == f"registry:3.1.2@{A}"
    assert not hub.asked


@pytest.mark.usefixtures("hub")
def test_another_tag_is_resolved_anew_even_when_somebody_made_it_run() -> None:
    memory = {"registry": f"registry:3.1.1@{A}"}
    assert pin("registry:3.1.2", memory, running=f"registry:3.1.2@{A}") == f"registry:3.1.2@{B}"


@pytest.mark.usefixtures("hub")
def test_a_digest_that_was_missing_is_added() -> None:
    memory = {"registry": "registry:3.1.2"}
    assert pin("registry:3.1.2", memory, running="registry:3.1.2") == f"registry:3.1.2@{B}"


def test_a_mirror_that_is_added_runs_the_same_as_the_registry(hub: Hub) -> None:
    memory = {"mirror-hub": f"registry:3.1.2@{A}", "proxy": f"traefik:v3@{B}"}
    assert pin("registry:3.1.2", memory) == f"registry:3.1.2@{A}"
    assert not hub.asked


def test_an_image_of_many_services_is_asked_for_once(hub: Hub) -> None:
    pin("registry:3.1.2", mirror="registry:3.1.2", proxy="traefik:v3")
    assert sorted(hub.asked) == ["registry:3.1.2", "traefik:v3"]


def test_a_digest_that_the_setting_names_is_the_one(hub: Hub) -> None:
    memory = {"registry": f"registry:3.1.2@{B}"}
    named = f"docker.io/library/registry:3.1.2@{A}"
    assert pin(named, memory, running=memory["registry"]) == f"registry:3.1.2@{A}"
    assert not hub.asked


def test_without_a_digest_the_tag_runs_and_the_reason_is_said(
    hub: Hub, warnings: list[str]
) -> None:
    hub.digest = None
    assert pin("registry:3.1.2", running="registry:3.1.2") == "registry:3.1.2"
    (warning,) = warnings
    assert "access to /distribution is denied" in warning


@pytest.mark.parametrize("before", [None, {"registry": "registry:3"}])
def test_images_are_remembered_once_they_run(deploy: Deploy, before: dict[str, str] | None) -> None:
    images = {"registry": f"registry:3@{A}"}

    def program() -> None:
        remember_images(images, before, pulumi.Output.from_input(True))

    assert deploy(program).of_type("Stash")[MEMORY]["input"] == images


def test_images_whose_deployment_failed_are_not_remembered(deploy: Deploy) -> None:
    def fail(_: bool) -> bool:
        raise pulumi.RunError("it doesn't come up")

    def program() -> None:
        failed = pulumi.Output.from_input(True).apply(fail)
        remember_images({"registry": "registry:3.1.3"}, {"registry": "registry:3"}, failed)

    with pytest.raises(pulumi.RunError, match="come up"):
        deploy(program)


def test_tags_that_are_refreshed_get_the_digests_of_today(hub: Hub) -> None:
    given = f"traefik:v3@{A}"
    images = {"registry": "docker.io/registry:3.1.2", "redis": "redis:7.4", "proxy": given}
    deployed = {"registry": f"registry:3.1.2@{A}", "redis": f"redis:7.4@{A}", "proxy": given}
    assert refresh_images(swarm(), images, deployed) == {
        "registry": f"registry:3.1.2@{B}",
        "redis": f"redis:7.4@{B}",
        "proxy": given,
    }
    assert hub.asked.count("redis:7.4") == 1


def test_where_a_registry_does_not_answer_no_image_is_refreshed(
    hub: Hub, warnings: list[str]
) -> None:
    hub.digest = None
    images = {"redis": f"redis:7.4@{A}"}
    assert refresh_images(swarm(), {"redis": "redis:7.4"}, images) is None
    assert "no image is refreshed" in warnings[0]


@pytest.mark.parametrize("refreshed", ["2026-12", None])
def test_what_asked_for_new_images_is_remembered(deploy: Deploy, refreshed: str | None) -> None:
    def program() -> None:
        remember_refresh(refreshed, "2026-11", pulumi.Output.from_input(True))

    stashes = deploy(program).of_type("Stash")
    assert stashes == ({REFRESH: {"input": refreshed}} if refreshed else {})


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("redis:7", "docker.io"),
        ("me/private:1", "docker.io"),
        ("docker.io/me/private:1", "docker.io"),
        ("ghcr.io/me/private:1", "ghcr.io"),
        ("localhost/private:1", "localhost"),
        ("registry:5000/private:1", "registry:5000"),
        (f"ghcr.io/me/private:1@{A}", "ghcr.io"),
    ],
)
def test_an_image_names_its_registry(image: str, registry: str) -> None:
    assert registry_of(image) == registry


class PrivateRegistry:
    """An engine that takes down the login that it gets."""

    def __init__(self) -> None:
        self.logins: list[object] = []

    def inspect_distribution(self, _: str, auth_config: object = None) -> dict[str, Any]:
        self.logins.append(auth_config)
        return {}


def test_a_private_image_is_asked_for_with_the_login_of_its_registry() -> None:
    client, login = PrivateRegistry(), PullLogin(username="me", password="hunter2")
    engine = Engine(host="unix:///nowhere.sock", pull_logins={"ghcr.io": login})
    for image in ("ghcr.io/me/private:1", "redis:7"):
        engine.inspect_distribution(client, image)
    assert client.logins == [{"username": "me", "password": "hunter2"}, None]
    assert "hunter2" not in repr(engine)


def test_the_provider_gets_logins_as_a_secret(deploy: Deploy) -> None:
    login = PullLogin(username="me", password="hunter2")
    recorder = deploy(
        lambda: Engine(host="unix:///x.sock", pull_logins={"ghcr.io": login}).provider("engine")
    )
    given = recorder.registered["engine"].inputs["registryAuth"]
    assert given["4dabf18193072939515e22adb298388d"] == "1b47061264138c4ac30d75fd1eb44270"
    assert "ghcr.io" in given["value"]
