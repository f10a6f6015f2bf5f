"""Which rights each job of a CI service gets."""

from __future__ import annotations

import re

import pytest

from ops.bootstrap import ROOT

from .shared_rights import (
    GITLAB,
    Runner,
    job_on_gitlab,
    scopes,
    steps,
    value,
)

NAMES = ("PULUMI_ACCESS_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SSH_PRIVATE_KEY")
DEPLOYING = {f"the {name} of deployments" for name in (*NAMES, "DOCKER_HOST")}
READING = {f"the PREVIEW_{name} of deployments" for name in (*NAMES, "DOCKER_HOST")}
PASSPHRASE = "the PULUMI_CONFIG_PASSPHRASE of deployments"


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
