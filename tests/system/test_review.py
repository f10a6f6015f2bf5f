"""What a reviewer reads of a change, golden; previews that only look; drift."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .project import ROOT
from .readonly import ReadOnly
from .site import Site

NAME, SERVICE = "reviewed", "reviewed_registry"
GOLDEN = ROOT / "tests/golden"
GIVEN = "a-given-Passw0rd-under-review"
SETTINGS = {
    "registry:stackName": NAME,
    "registry:domain": "reviewed.example.com",
    "registry:network": NAME,
    "registry:createNetwork": "true",
}


def report(site: Site, stack: str) -> str:
    """stdout of `make preview FORMAT=markdown`, which is what a workflow posts."""
    done = subprocess.run(
        ["make", "--no-print-directory", "preview", f"STACK={stack}", "FORMAT=markdown"],
        cwd=site.project.folder,
        env=site.project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.stdout


def is_golden(name: str, text: str) -> None:
    """Compares with tests/golden/<name>.md; UPDATE_GOLDEN=1 writes it anew instead."""
    file = GOLDEN / f"{name}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.fixture(scope="module", autouse=True)
def _made(site: Site) -> None:
    """A stack that isn't deployed yet, with one given password."""
    site.project.init(NAME, SETTINGS | {"registry:volumeNode": site.swarm.nodes[0].name})
    site.project.set(NAME, "registry:users[0]", "admin", "--path")
    site.project.set(NAME, "registry:users[1]", "ci", "--path")
    site.project.set(NAME, "registry:passwords.ci", GIVEN, "--path", "--secret")


@pytest.fixture(scope="module")
def new(site: Site) -> str:
    """The report on a stack that isn't there yet."""
    return report(site, NAME)


@pytest.fixture(scope="module")
def deployed(site: Site, new: str) -> str:
    """It is there now; all that a reviewer mustn't see, one a line."""
    assert new
    site.project.up(NAME)
    exported = json.loads(site.project.ok("stack", "export", "--show-secrets", "--stack", NAME))
    hidden = [GIVEN, site.login(NAME).partition(":")[2]]
    for resource in exported["deployment"]["resources"]:
        if resource["urn"].endswith("::login-htpasswd"):
            data = resource["outputs"]["data"]
            encoded = json.loads(data["plaintext"]) if isinstance(data, dict) else data
            lines = base64.b64decode(encoded).decode().splitlines()
            hidden += [line.partition(":")[2] for line in lines]
    assert len(hidden) == 4
    return "\n".join(hidden)


@pytest.fixture
def setting(site: Site) -> Iterator[dict[str, str]]:
    """Settings to have while the test runs."""
    wanted: dict[str, str] = {}
    yield wanted
    for key in wanted:
        if key in SETTINGS:
            site.project.set(NAME, key, SETTINGS[key])
        else:
            site.project.unset(NAME, key)


def test_a_new_environment_reads_as_it_should(new: str) -> None:
    is_golden("new-environment", new)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("domain", "registry:domain", "other.example.com"),
        ("password", "registry:passwordRotation", "2026-12"),
        ("image", "registry:image", "registry:3.1.3"),
    ],
)
def test_a_change_reads_as_it_should(
    site: Site, deployed: str, setting: dict[str, str], name: str, key: str, value: str
) -> None:
    setting[key] = value
    site.project.set(NAME, key, value)
    text = report(site, NAME)
    assert not [hidden for hidden in deployed.splitlines() if hidden in text]
    is_golden(f"changed-{name}", text)


def test_no_change_is_one_line(site: Site, deployed: str) -> None:
    assert deployed
    text = report(site, NAME)
    assert text.startswith(f"### `{NAME}`: no changes\n")
    assert "|" not in text


def test_wrong_settings_are_in_the_report(
    site: Site, deployed: str, setting: dict[str, str]
) -> None:
    assert deployed
    setting["registry:memory"] = "lots"
    site.project.set(NAME, "registry:memory", "lots")
    text = report(site, NAME)
    assert text.startswith(f"### `{NAME}`: the preview failed\n")
    assert "registry:memory is 'lots': it must be a whole number of MiB or GiB" in text
    assert site.make("preview", f"STACK={NAME}", "FORMAT=markdown").code != 0


def test_a_preview_only_looks(site: Site, deployed: str) -> None:
    assert deployed
    local = site.project.environment["DOCKER_HOST"]
    with ReadOnly(Path(local.removeprefix("unix://"))) as engine:
        site.project.environment["DOCKER_HOST"] = engine.host
        try:
            site.project.init("unborn", {**SETTINGS, "registry:stackName": "unborn"})
            site.project.unset("unborn", "registry:createNetwork")
            for stack in (NAME, "unborn"):
                site.project.ok("preview", "--stack", stack)
            assert engine.refused == []
            deployment = site.project.pulumi("up", "--yes", "--skip-preview", "--stack", "unborn")
            assert deployment.code != 0
            assert engine.refused, "a deployment would do more than look"
        finally:
            site.project.environment["DOCKER_HOST"] = local
    site.project.ok("destroy", "--yes", "--stack", "unborn")


def test_drift_is_told_and_looking_mends_nothing(site: Site, deployed: str) -> None:
    assert deployed
    first = site.swarm.nodes[0]
    assert f"stack {NAME} is as it was deployed" in site.made("drift", f"STACK={NAME}")
    before = site.project.state_text()
    site.swarm.docker(first, "service", "update", "--detach", "--limit-memory", "1GiB", SERVICE)
    changed = site.make("drift", f"STACK={NAME}")
    assert changed.code != 0
    assert f"what runs isn't what stack {NAME} says" in changed.text
    site.swarm.docker(first, "service", "rm", SERVICE)
    removed = site.make("drift", f"STACK={NAME}")
    assert removed.code != 0
    assert site.project.state_text() == before
    site.project.up(NAME, "--refresh")
    site.made("drift", f"STACK={NAME}")
