"""What each job of a CI service gets to know, on runners that are imitated here.

A job's steps run as they stand in its file, in a shell, with a `make` that notes its environment.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.bootstrap import ROOT
from ops.bootstrap.console import UserError
from ops.history import last_commit

GITLAB = yaml.safe_load((ROOT / ".gitlab-ci.example.yml").read_text())
NAMES = ("PULUMI_ACCESS_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SSH_PRIVATE_KEY")
DEPLOYING = {f"the {name} of deployments" for name in (*NAMES, "DOCKER_HOST")}
READING = {f"the PREVIEW_{name} of deployments" for name in (*NAMES, "DOCKER_HOST")}
PASSPHRASE = "the PULUMI_CONFIG_PASSPHRASE of deployments"
COMMIT = "1" * 40


def scopes() -> dict[str, str]:
    """Return the environment scopes on GitLab by variable, as the documentation has them."""
    usage = {}
    for line in (ROOT / "docs/environments-and-review.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and re.match(r"`[A-Z_]+`", cells[1]):
            for name in re.findall(r"`([A-Z_]+)`", cells[1]):
                usage[name] = cells[3]
    return usage


def value(name: str) -> str:
    """Return the value under a name."""
    return f"the {name} of deployments"


@dataclass
class Runner:
    """A machine on which a job runs."""

    folder: Path

    def __post_init__(self) -> None:
        shutil.copytree(ROOT / ".ci", self.folder / "checkout/.ci")
        (self.folder / "home").mkdir()
        self._program("make", f'echo "make $*" >>{self._log}; env >>{self._log}; echo {COMMIT}')
        self._program("git", f'echo "git $*" >>{self._log}')

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _program(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, script: str, variables: Mapping[str, str]) -> str:
        """Run commands; return their environments and the manager's key, "" on failure."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        files = {name: str(self.folder / name) for name in ("GITHUB_STEP_SUMMARY",)}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.folder / "checkout",
            env={"PATH": path, "HOME": str(self.folder / "home"), **files, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.output = done.stderr
        if done.returncode != 0:
            return ""
        known = self._log.read_text() if self._log.exists() else "nothing"
        key = self.folder / "home/.ssh/deployment"
        return known + (key.read_text() if key.exists() else "")


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Return a machine that has been used for nothing yet."""
    return Runner(tmp_path)


def evaluate(expression: str, context: Mapping[str, str]) -> str:
    """Return the value of a GitHub expression: names, texts, `==`, `&&` and `||`."""

    def term(text: str) -> str:
        text = text.strip()
        if "==" in text:
            left, right = map(term, text.split("=="))
            return "true" if left == right else ""
        if text.startswith("'"):
            return text.strip("'")
        kind, _, name = text.partition(".")
        return value(name) if kind in ("secrets", "vars") else context[text]

    def conjunction(text: str) -> str:
        values = list(map(term, text.split("&&")))
        return values[-1] if all(values) else ""

    return next(filter(None, map(conjunction, expression.split("||"))), "")


def steps(workflow: str, job: str, **context: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the commands of a job on GitHub, which offers all secrets, with their variables."""
    contexts = {
        **{"github.token": "the token of the job", "matrix.stack": "prod"},
        **{"github.event.repository.default_branch": "main", "github.ref_type": "branch"},
        **context,
    }

    def evaluated(text: str) -> str:
        return re.sub(r"\$\{\{(.*?)\}\}", lambda match: evaluate(match[1], contexts), text)

    file = yaml.safe_load((ROOT / f".github/workflows/{workflow}.yml").read_text())
    assert "env" not in file
    assert "env" not in file["jobs"][job]
    for step in file["jobs"][job]["steps"]:
        if "run" in step and ("if" not in step or evaluate(step["if"], contexts)):
            env = {name: evaluated(str(text)) for name, text in step.get("env", {}).items()}
            yield step["run"], env


def secrets_in(text: str) -> set[str]:
    """Return what is stored for the jobs and in the text."""
    return set(re.findall(r"the [A-Z_]+ of deployments", text))


@pytest.mark.parametrize("workflow", ["preview", "drift"])
def test_on_github_a_job_that_reads_gets_the_rights_of_a_reader(
    runner: Runner, workflow: str
) -> None:
    known = ""
    for script, variables in steps(workflow, workflow):
        known = runner.run(script, variables)
        assert known, runner.output
    assert f"make -s {workflow}" in known
    assert secrets_in(known) & DEPLOYING == set()
    assert secrets_in(known) >= READING | {PASSPHRASE}


@pytest.mark.parametrize("workflow", ["preview", "drift", "deploy"])
def test_on_github_what_is_installed_sees_no_secret(runner: Runner, workflow: str) -> None:
    for script, variables in steps(workflow, workflow):
        if script == ".ci/tools":
            assert variables == {}
            assert "make tools" in runner.run(script, variables)
            return
        assert "make" not in script, "nothing of the project has run before"
    pytest.fail("nothing is installed beforehand")


def test_on_github_tests_get_nothing() -> None:
    assert [variables for _, variables in steps("test", "test")] == [{}]


def job_on_gitlab(runner: Runner, name: str, **variables: str) -> str:
    """Return what a job on GitLab gets, with variables stored as the documentation says."""
    job = GITLAB[name]
    base = GITLAB.get(job.get("extends", ""), {})
    variables_of = {**base.get("variables", {}), **job.get("variables", {})}
    job = {**base, **job}
    settings = {key: str(text) for key, text in variables_of.items()}
    stack = settings.setdefault("STACK", "prod")
    environment = job.get("environment", "")
    if isinstance(environment, dict):
        environment = environment["name"]
    environment = environment.replace("$STACK", stack)
    for variable, scope in scopes().items():
        patterns = re.findall(r"`([^`]+)`", scope)
        if any(fnmatch.fnmatch(environment, each) for each in patterns):
            # What is stored wins over what the file sets.
            settings[variable] = value(variable)
    lines: list[Any] = []
    for part in ("before_script", "script"):
        script = job.get(part, [])
        lines += [script] if isinstance(script, str) else script
    settings = {"CI_DEFAULT_BRANCH": "main", **settings, **variables}
    return runner.run("\n".join(lines), settings)


def test_the_readme_names_every_variable_that_workflows_take() -> None:
    texts = [path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml")]
    taken = {name for text in texts for name in re.findall(r"\b(?:secrets|vars)\.([A-Z_]+)", text)}
    assert taken == scopes().keys() - {"GITLAB_TOKEN"}


@pytest.mark.parametrize("job", ["preview", "drift"])
def test_on_gitlab_a_job_that_reads_gets_the_rights_of_a_reader(runner: Runner, job: str) -> None:
    known = job_on_gitlab(runner, job)
    assert f"make -s {job}" in known, runner.output
    assert secrets_in(known) & DEPLOYING == set()
    assert secrets_in(known) >= READING | {PASSPHRASE}
    assert "SSH_PRIVATE_KEY=the PREVIEW_SSH_PRIVATE_KEY" in known
    assert "DOCKER_HOST=the PREVIEW_DOCKER_HOST" in known


def test_on_gitlab_tests_get_nothing(runner: Runner) -> None:
    (runner.folder / "checkout/.ci/run").write_text("#!/bin/sh\nmake test\n")
    known = job_on_gitlab(runner, "test")
    assert "make test" in known, runner.output
    assert secrets_in(known) <= {value("PULUMI_BACKEND_URL"), value("SSH_KNOWN_HOSTS")}


@pytest.mark.parametrize("job", ["test", "preview", "drift"])
def test_on_gitlab_a_secret_without_its_scope_ends_a_job_that_must_not_have_it(
    runner: Runner, job: str
) -> None:
    (runner.folder / "checkout/.ci/run").write_text("#!/bin/sh\nmake test\n")
    assert job_on_gitlab(runner, job, SSH_PRIVATE_KEY="the key") == ""
    assert "SSH_PRIVATE_KEY is in reach of this job" in runner.output
    assert "the key" not in runner.output


def test_on_gitlab_a_deployment_gets_its_own_rights(runner: Runner) -> None:
    known = job_on_gitlab(runner, "deploy-prod")
    assert "make deploy" in known, runner.output
    assert secrets_in(known) >= DEPLOYING | {PASSPHRASE}
    assert secrets_in(known) & READING == set()
    installing = known.partition("make tools")[2].partition("make deploy")[0]
    assert secrets_in(installing) <= {
        value(name) for name in ("PULUMI_BACKEND_URL", "SSH_KNOWN_HOSTS", "DOCKER_HOST")
    }


@pytest.mark.parametrize("stack", ["stag", "prod"])
def test_on_gitlab_variables_of_a_pipeline_lead_to_no_other_stack(
    runner: Runner, stack: str
) -> None:
    known = job_on_gitlab(runner, f"deploy-{stack}", STACK="other", CI_DEFAULT_BRANCH="beside")
    assert f"make deploy STACK={stack}\n" in known, runner.output
    assert "beside" not in known.replace("CI_DEFAULT_BRANCH=beside", "")
    assert GITLAB[f"deploy-{stack}"]["environment"] == stack
    assert "$CI_DEFAULT_BRANCH" not in str(GITLAB[f"deploy-{stack}"])


def test_on_github_a_deployment_gets_its_own_rights(runner: Runner) -> None:
    known = ""
    for script, variables in steps("deploy", "deploy", **{"github.ref_type": "tag"}):
        known = runner.run(script, variables)
        assert known, runner.output
    assert "STACK=prod" in known
    assert secrets_in(known) >= DEPLOYING | {PASSPHRASE}
    assert secrets_in(known) & READING == set()
    assert "merge-base --is-ancestor HEAD refs/remotes/origin/main" in known


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
