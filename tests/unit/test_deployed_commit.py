"""Which commit was deployed last, and what a tag deploys."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops.bootstrap import ROOT
from ops.bootstrap.console import UserError
from ops.history import last_commit

from .shared_rights import (
    COMMIT,
    Runner,
    job_on_gitlab,
    steps,
)


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_drift_is_looked_for_with_the_commit_that_was_deployed(
    runner: Runner, service: str
) -> None:
    if service == "gitlab":
        known = job_on_gitlab(runner, "drift")
    else:
        for script, variables in steps("drift", "drift"):
            known = runner.run(script, variables)
    assert known.index("make -s deployed") < known.index(f"git checkout --detach {COMMIT}")
    assert known.index(f"git checkout --detach {COMMIT}") < known.index("make -s drift")


def entry(kind: str, result: str, commit: str = "") -> dict[str, Any]:
    environment = {"git.head": commit} if commit else {}
    return {"kind": kind, "result": result, "startTime": "today", "environment": environment}


def test_what_was_deployed_is_the_last_deployment_that_came_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Not the nearest tag, and not a deployment that failed.
    entries = [
        entry("refresh", "succeeded", "ccc"),
        entry("update", "failed", "bbb"),
        entry("update", "succeeded", "aaa"),
        entry("update", "succeeded", "000"),
    ]
    assert last_commit("prod", entries) == "aaa"
    assert "the update of today failed" in capsys.readouterr().err
    with pytest.raises(UserError, match="isn't deployed"):
        last_commit("prod", [entry("destroy", "succeeded", "bbb"), *entries])
    with pytest.raises(UserError, match="isn't deployed"):
        last_commit("prod", [])
    with pytest.raises(UserError, match="without git"):
        last_commit("prod", [entry("update", "succeeded"), *entries])


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a checkout whose origin has a main branch, and a branch beside it."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "--quiet", "--initial-branch=main")
    git(origin, "commit", "--quiet", "--allow-empty", "-m", "first")
    git(origin, "tag", "v-main")
    git(origin, "checkout", "--quiet", "-b", "beside")
    git(origin, "commit", "--quiet", "--allow-empty", "-m", "beside")
    git(origin, "tag", "v-beside")
    git(origin, "checkout", "--quiet", "main")
    git(origin, "commit", "--quiet", "--allow-empty", "-m", "later")
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(origin), str(folder))
    return folder


def git(folder: Path, *args: str) -> str:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    done = subprocess.run(
        ["git", *who, *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("known", [True, False], ids=["branch is there", "branch is fetched"])
@pytest.mark.parametrize(("tag", "deployed"), [("v-main", True), ("v-beside", False)])
def test_a_tag_beside_the_main_branch_deploys_nothing(
    clone: Path, tag: str, deployed: bool, known: bool
) -> None:
    git(clone, "checkout", "--quiet", tag)
    if not known:
        git(clone, "update-ref", "-d", "refs/remotes/origin/main")
    done = subprocess.run(
        [ROOT / ".ci/on-branch", "main"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode == 0) is deployed, done.stderr
    assert ("isn't on main" in done.stderr) is not deployed
