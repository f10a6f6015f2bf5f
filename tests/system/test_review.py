"""What reviewers see of a deployment, from an engine that can only be looked at.

The reports are compared with tests/golden; UPDATE_GOLDEN=1 writes them there instead.

One file, since its tests share what they deploy.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.project import ROOT, Result
from testing.read_only_socket import ReadOnlySocket, read_only_socket
from testing.site import SwarmUnderTest

GOLDEN = ROOT / "tests/golden"
STACK = "review"
REGISTRY = f"{STACK}_registry"
GIVEN = "a-given-Passw0rd-that-nobody-else-has"
SETTINGS = {
    "registry:stackName": STACK,
    "registry:domain": "review.example.com",
    "registry:proxy": "stack",
    "registry:network": STACK,
    "registry:policy": "advisory",
}
CHANGES = {
    "changed-domain": {"registry:domain": "images.example.com"},
    "rotated-password": {"registry:passwordRotation": "2"},
    "changed-image": {"registry:image": "registry:3.1.1"},
    "replaced-service": {"registry:proxyMode": "global"},
}
REFUSED = {
    "a setting that is wrong": {"registry:domain": "https://images.example.com"},
    "a policy that is broken": {"registry:image": "registry:3.1.1", "registry:policy": "mandatory"},
}


@pytest.fixture(scope="module")
def engine(
    site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReadOnlySocket]:
    """Yield the first node's engine, which can only be read."""
    target = Path(site.project.environment["DOCKER_HOST"].removeprefix("unix://"))
    with read_only_socket(target, tmp_path_factory.mktemp("engine") / "docker.sock") as engine:
        yield engine


def read_only_make(
    site: SwarmUnderTest, engine: ReadOnlySocket, *args: str, **variables: str
) -> Result:
    """Run `make ARGS` for the stack, with an engine that takes no changes."""
    variables["DOCKER_HOST"] = engine.host
    result = site.make("-s", *args, f"STACK={STACK}", timeout=300, **variables)
    assert engine.refused == [], result.text
    return result


def preview(site: SwarmUnderTest, engine: ReadOnlySocket, changes: dict[str, str]) -> Result:
    """Return a report with `changes` to the settings, which are undone afterwards."""
    for key, value in changes.items():
        site.project.set(STACK, key, value)
    result = read_only_make(site, engine, "preview", "FORMAT=markdown")
    for key in changes:
        if key in SETTINGS:
            site.project.set(STACK, key, SETTINGS[key])
        else:
            site.project.unset(STACK, key)
    return result


@pytest.fixture(scope="module")
def new(site: SwarmUnderTest, hub: None, engine: ReadOnlySocket) -> Result:
    """Return the preview of a stack that isn't deployed."""
    assert hub is None  # It only has to be there.
    site.project.init(STACK, {**SETTINGS, "registry:volumeNode": site.swarm.nodes[0].name})
    site.project.set(STACK, "registry:users[0]", "admin", "--path")
    site.project.set(STACK, "registry:users[1]", "ci", "--path")
    site.project.set(STACK, "registry:passwords.ci", GIVEN, "--path", "--secret")
    return read_only_make(site, engine, "preview", "FORMAT=markdown")


@pytest.fixture(scope="module")
def deployed(site: SwarmUnderTest, new: Result, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Deploy that stack through an address that leads nowhere afterwards.

    So whatever still asks the engine that the state names, past the one that is configured, fails.
    """
    assert new.code == 0, new.text
    address = tmp_path_factory.mktemp("deployment") / "docker.sock"
    there = site.project.environment["DOCKER_HOST"]
    address.symlink_to(there.removeprefix("unix://"))
    site.project.environment["DOCKER_HOST"] = f"unix://{address}"
    site.project.up(STACK)
    site.project.environment["DOCKER_HOST"] = there
    address.unlink()


@pytest.fixture(scope="module")
def reports(
    site: SwarmUnderTest, engine: ReadOnlySocket, new: Result, deployed: None
) -> dict[str, Result]:
    """Return all previews by name."""
    assert deployed is None
    changed = {name: preview(site, engine, CHANGES[name]) for name in CHANGES}
    refused = {name: preview(site, engine, REFUSED[name]) for name in REFUSED}
    return {"new-environment": new, **changed, **refused, "nothing": preview(site, engine, {})}


def normal(report: str) -> str:
    """Return a report without what differs on each swarm."""
    return re.sub(r"@sha256:[0-9a-f]{12}", "@sha256:0123456789ab", report)


@pytest.mark.parametrize("name", ["new-environment", *CHANGES])
def test_a_report_is_as_reviewed(reports: dict[str, Result], name: str) -> None:
    assert reports[name].code == 0, reports[name].text
    report, golden = normal(reports[name].out), GOLDEN / f"{name}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(report)
    assert report == golden.read_text()


def test_a_preview_in_the_terminal_says_what_is_deleted_before_its_new_one_is_made(
    site: SwarmUnderTest, engine: ReadOnlySocket, deployed: None
) -> None:
    assert deployed is None
    site.project.set(STACK, "registry:proxyMode", "global")
    shown = read_only_make(site, engine, "preview")
    site.project.unset(STACK, "registry:proxyMode")
    assert shown.code == 0, shown.text
    warning = f"warning: service `{STACK}_proxy`: the service is deleted before the new one is made"
    assert warning in shown.text
    assert "deleted before" not in read_only_make(site, engine, "preview").text


def test_a_preview_needs_no_right_to_write_the_state(
    site: SwarmUnderTest, engine: ReadOnlySocket, deployed: None
) -> None:
    # With what a preview is given on a CI service, a deployment gets nowhere.
    assert deployed is None
    state = str(site.project.state)
    read_only = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    make = ("make", "-s", "-C", str(site.project.folder), f"STACK={STACK}")

    def run(command: str, **variables: str) -> tuple[int, str]:
        done = site.swarm.exec(
            site.swarm.outside,
            *("unshare", "--mount", "sh", "-c", read_only, state, *make, command),
            check=False,
            timeout=300,
            env={**site.project.environment, "DOCKER_HOST": engine.host, **variables},
        )
        return done.returncode, done.stdout + done.stderr

    code, text = run("preview", FORMAT="markdown")
    assert code == 0, text
    assert f"**{STACK}**: no changes" in text
    code, text = run("deploy")
    assert code != 0
    assert "read-only file system" in text


def test_without_changes_it_is_one_line(reports: dict[str, Result]) -> None:
    assert reports["nothing"].out == f"**{STACK}**: no changes\n"
    assert reports["nothing"].code == 0


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("a setting that is wrong", "registry:domain is 'https://images.example.com'"),
        ("a policy that is broken", "images-by-digest: image registry:3.1.1 has no digest"),
    ],
)
def test_what_cant_be_deployed_is_reported_and_fails(
    reports: dict[str, Result], name: str, error: str
) -> None:
    report = reports[name]
    assert report.code != 0
    assert report.out.startswith(f"**{STACK}**: the preview failed")
    assert error in report.out
    assert "Traceback" not in report.text


def test_a_report_is_commented_on_a_pull_request(
    site: SwarmUnderTest, engine: ReadOnlySocket, deployed: None, tmp_path: Path
) -> None:
    assert deployed is None
    # A stand-in for `gh`, since GitHub is out of reach here: no comments yet, and it keeps one.
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\ncase "$*" in *POST*) cat >{tmp_path}/posted ;; esac\n')
    gh.chmod(0o755)
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": "0123abc"}}}))
    variables = {"GITHUB_EVENT_PATH": str(event), "GITHUB_REPOSITORY": "owner/registry"}
    path = f"{tmp_path}:{site.project.environment['PATH']}"
    report = read_only_make(site, engine, "preview", "FORMAT=comment", PATH=path, **variables)
    assert report.code == 0, report.text
    assert report.out == f"**{STACK}**: no changes\n"
    posted = json.loads((tmp_path / "posted").read_text())["body"]
    assert posted == f"<!-- preview of stack {STACK} -->\n{report.out}\nCommit 0123abc"


def test_a_move_of_the_images_stands_out(
    site: SwarmUnderTest, engine: ReadOnlySocket, deployed: None
) -> None:
    assert deployed is None
    site.project.set(STACK, "registry:volumeName", "elsewhere")
    site.project.set(STACK, "registry:volumeMovedFrom", f"{REGISTRY}-data")
    report = read_only_make(site, engine, "preview", "FORMAT=markdown")
    site.project.unset(STACK, "registry:volumeName")
    site.project.unset(STACK, "registry:volumeMovedFrom")
    node = site.swarm.nodes[0].name
    volumes = [f"`volume {name} on node {node}`" for name in (f"{REGISTRY}-data", "elsewhere")]
    row = f"| change | storage `registry-data` | **moves** from {volumes[0]} to {volumes[1]} |"
    assert row in report.out, report.text


def test_no_secret_is_in_a_report(site: SwarmUnderTest, reports: dict[str, Result]) -> None:
    raw = site.project.ok("stack", "export", "--show-secrets", "--stack", STACK)
    hidden = {text for text in plain(json.loads(raw)) if len(text) > 8}
    for data in list(hidden):
        for line in decoded(data).splitlines():
            hidden.update(part for part in line.partition(":") if len(part) > 8)
    assert GIVEN in hidden
    assert any(text.startswith("$2b$") for text in hidden), "the hashes are among them"
    for result in reports.values():
        assert [text for text in hidden if text in result.text] == []


def plain(value: Any) -> Iterator[str]:
    """Yield all secret texts in `stack export --show-secrets`."""
    if isinstance(value, dict) and "plaintext" in value:
        secret = json.loads(value["plaintext"])
        yield from [secret] if isinstance(secret, str) else map(str, secret.values())
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from plain(part)


def decoded(data: str) -> str:
    """Return the text behind base64, if it is that."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        return ""


def test_that_engine_would_refuse_a_deployment(
    site: SwarmUnderTest, engine: ReadOnlySocket, reports: dict[str, Result]
) -> None:
    assert reports
    assert any(line.startswith("GET ") for line in engine.passed)
    site.project.set(STACK, "registry:domain", "images.example.com")
    refused = site.make("deploy", f"STACK={STACK}", DOCKER_HOST=engine.host)
    site.project.set(STACK, "registry:domain", SETTINGS["registry:domain"])
    assert refused.code != 0
    assert any(line.startswith("POST ") for line in engine.refused)
    engine.refused.clear()


def service_id(site: SwarmUnderTest) -> str:
    """Return the full id of the registry's service."""
    return str(site.inspect("service", REGISTRY)["ID"])


def test_drift_is_found_and_left_as_it_is(
    site: SwarmUnderTest, engine: ReadOnlySocket, deployed: None
) -> None:
    assert deployed is None
    first, state = site.any_node(), site.project.state_text()
    engine.passed.clear()
    same = read_only_make(site, engine, "drift")
    inspected = [line for line in engine.passed if f"/services/{service_id(site)}" in line]
    assert inspected, "the refresh has asked this engine, and not only the program"
    assert same.code == 0, same.text
    assert same.out == f"**{STACK}**: all is as it was deployed\n"

    by_hand = ("--label-add", "by=hand", "--env-add", "DEBUG=hidden")
    site.swarm.docker(first, "service", "update", "--detach", *by_hand, REGISTRY)
    changed = read_only_make(site, engine, "drift")
    assert changed.code != 0
    assert f"| change | service `{REGISTRY}` |" in changed.out
    assert "label `by`: − `hand`<br>" in changed.out
    assert "variable `DEBUG` removed (not shown)" in changed.out
    assert f"error: stack {STACK} has drifted" in changed.text
    assert "hidden" not in changed.text

    site.swarm.docker(first, "service", "rm", REGISTRY)
    removed = read_only_make(site, engine, "drift")
    assert removed.code != 0
    assert f"| create | service `{REGISTRY}` |" in removed.out
    assert site.project.state_text() == state
