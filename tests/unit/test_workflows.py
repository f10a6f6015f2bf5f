"""What GitHub and GitLab run: checked by a linter, and nothing in it that isn't in this project."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.bootstrap import ROOT
from ops.bootstrap.go import BUILD_SECONDS
from testing.go_tests import NEEDS_GO
from testing.tools import tool

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
GITLAB = ROOT / ".gitlab-ci.example.yml"
SECRETS = ROOT / ".ci/secrets"


@NEEDS_GO
@pytest.mark.timeout(BUILD_SECONDS)
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(
        [tool("actionlint"), "-no-color", *WORKFLOWS],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout + done.stderr == ""


def program(name: str) -> str | None:
    """Return a program of requirements-dev.txt."""
    folders = (str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    return shutil.which(name, path=os.pathsep.join(folders))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="zizmor has no package for Python 3.10")
def test_zizmor_finds_nothing() -> None:
    done = subprocess.run(
        [program("zizmor") or "zizmor", "--offline", "--no-progress", "--quiet", *WORKFLOWS],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_shellcheck_finds_nothing() -> None:
    scripts = [path for path in (ROOT / ".ci").iterdir() if path.name != SECRETS.name]
    done = subprocess.run(
        [program("shellcheck") or "shellcheck", *scripts, ROOT / "toolchain/build.sh"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout + done.stderr == ""


def scripts(path: Path) -> Iterator[str]:
    """Yield all commands in a file of workflows."""

    def within(value: Any) -> Iterator[str]:
        for key, part in value.items() if isinstance(value, dict) else ():
            if key in ("run", "script"):
                if not isinstance(part, dict):
                    yield from [part] if isinstance(part, str) else part
            else:
                yield from within(part)
        for part in value if isinstance(value, list) else ():
            yield from within(part)

    yield from within(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("path", [*WORKFLOWS, GITLAB], ids=lambda path: path.name)
def test_all_that_is_run_is_there(path: Path) -> None:
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [line for script in scripts(path) for line in script.splitlines()]
    if path.name != "deploy.yml" or "uses: ./.github" not in path.read_text():
        assert commands
    for line in commands:
        for goal in re.findall(r"\bmake(?: -\S+)* ([a-z]+)", line):
            assert goal in rules, line
        for file in re.findall(r"(?:^|\s)(\.ci/\S+)", line):
            sourced = line.startswith(". ")
            assert os.access(ROOT / file, os.R_OK if sourced else os.X_OK), line
        # What somebody types into a title or names a branch must not become a command.
        assert "${{" not in line


def test_what_is_cached_is_made_anew_when_its_source_changes() -> None:
    # The tests' own folders whose programs are compiled into the cache.
    text = (ROOT / ".github/workflows/test.yml").read_text()
    sources = [path for path in ROOT.glob("test*/*/__init__.py") if "cache()" in path.read_text()]
    assert sources
    for path in sources:
        assert f"'{path.parent.relative_to(ROOT)}/**'" in text


def test_the_tests_have_the_history_of_the_project() -> None:
    # One deploys with an earlier version; without more words, a runner gets the last commit.
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    checkout = workflow["jobs"]["test"]["steps"][0]
    assert checkout["uses"].startswith("actions/checkout@")
    assert checkout["with"]["fetch-depth"] == 0
    assert yaml.safe_load(GITLAB.read_text())["test"]["variables"]["GIT_DEPTH"] == 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_no_more_than_it_has_to(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    more = {"preview.yml": {"pull-requests": "write"}}
    assert workflow["permissions"] == {"contents": "read", **more.get(path.name, {})}
    image = {"packages": "write", "attestations": "write", "id-token": "write"}
    jobs = {"release.yml": {"tools": {"contents": "read", **image}}}
    given = {
        name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job
    }
    assert given == jobs.get(path.name, {})
    assert "pull_request_target" not in path.read_text()
    # A tag can be moved to other code. The comment is for people, and for what renews it.
    for action in re.findall(r"uses: (.+)", path.read_text()):
        match = re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
        assert match or action.startswith("./"), action


BACKEND = {"PULUMI_BACKEND_URL": "s3://state"}


def prepare(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".ci/prepare"],
        env={"HOME": str(home), "PATH": os.environ["PATH"], **BACKEND, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_key_for_the_manager_is_the_users_alone(tmp_path: Path) -> None:
    key = "-----BEGIN KEY-----\nsecret\n-----END KEY-----"
    for _ in range(2):
        done = prepare(tmp_path, SSH_PRIVATE_KEY=key, SSH_KNOWN_HOSTS="manager ssh-ed25519 AAAA")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written = tmp_path / ".ssh/deployment"
    assert written.read_text() == f"{key}\n"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert (tmp_path / ".ssh/config").read_text().count("IdentityFile ~/.ssh/deployment") == 1
    assert "manager ssh-ed25519 AAAA" in (tmp_path / ".ssh/known_hosts").read_text()
    file = tmp_path / "key"
    file.write_text("from a file\n")
    assert prepare(tmp_path, SSH_PRIVATE_KEY=str(file), SSH_KNOWN_HOSTS="x").returncode == 0
    assert written.read_text() == "from a file\n"


def test_without_a_key_nothing_is_written_and_without_known_hosts_it_fails(tmp_path: Path) -> None:
    assert prepare(tmp_path, SSH_PRIVATE_KEY="").returncode == 0
    assert not (tmp_path / ".ssh").exists()
    done = prepare(tmp_path, SSH_PRIVATE_KEY="the-key-itself")
    assert done.returncode != 0
    assert "SSH_KNOWN_HOSTS" in done.stderr
    assert "the-key-itself" not in done.stderr


def test_without_a_backend_nothing_is_deployed_as_if_it_were_new(tmp_path: Path) -> None:
    done = prepare(tmp_path, PULUMI_BACKEND_URL="", SSH_PRIVATE_KEY="secret")
    assert done.returncode != 0
    assert "PULUMI_BACKEND_URL" in done.stderr
