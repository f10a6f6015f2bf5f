"""Waiting until an update is over, or undone."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker
import pytest

from components.errors import RolloutFailedError
from components.swarm.engine import Engine
from components.swarm.inspect import RunningService, Swarm, UndoneUpdate
from components.swarm.retry import retry_undone
from components.swarm.rollout import (
    FAILURES,
)
from components.swarm.summary import actual_summary
from components.swarm.task_failure import Cause, TaskFailure

from .conftest import Deploy
from .shared_rollout import (
    ENGINE_TIME,
    EXPECTED,
    TAKEN,
    Wait,
    failed,
    service,
    task,
    template,
)


def test_an_update_is_waited_for_until_swarm_has_watched_it() -> None:
    wait = Wait()
    assert "watching" in (wait.inspect([task("a", "running")], service(update="updating")) or "")
    assert wait.inspect([task("a", "running")], service(update="completed")) is None


def test_an_update_that_was_undone_says_why_even_if_it_failed_before_the_first_look() -> None:
    new = task("new", "rejected", "No such image: registry:3.9", Spec=template("registry:3.9"))
    old = task("old", "failed", "task: non-zero exit (137)", CreatedAt=ENGINE_TIME)
    wait = Wait()
    wait.rollout.expected = actual_summary({"TaskTemplate": template("registry:3.9")})
    with pytest.raises(RolloutFailedError) as error:
        wait.inspect([new, old, task("a", "running")], service(update="rollback_started"))
    assert "was undone, and the version before runs on: on node dog, there is no image" in str(
        error.value
    )
    assert error.value.failure is not None
    assert error.value.failure.image == "registry:3.9"


@pytest.mark.parametrize(
    ("expected", "runs", "undone"),
    [
        ("registry:3@sha256:b", "registry:3@sha256:a", True),
        ("registry:3@sha256:a", "registry:3@sha256:a", False),
        ("registry:3", "registry:3@sha256:a", False),
    ],
)
def test_an_update_of_the_digest_alone_that_was_undone_is_seen_as_one(
    expected: str, runs: str, undone: bool
) -> None:
    wait = Wait()
    wait.rollout.expected = actual_summary({"TaskTemplate": template(expected)})
    after = service(update="rollback_completed", runs=template(runs))
    tasks = [task("a", "running", Spec=template(runs))]
    if undone:
        with pytest.raises(RolloutFailedError, match="was undone"):
            wait.inspect(tasks, after)
    else:
        assert wait.inspect(tasks, after) is None


def test_an_update_of_the_ports_alone_that_was_undone_is_seen_as_one() -> None:
    wait = Wait()
    wait.rollout.expected = {**EXPECTED, "ports": [(8081, 80)]}
    assert wait.inspect([task("a", "running")], service(update="updating")) is not None
    # Nothing in a task says which ports its service had.
    tasks = [task("b", "failed", TAKEN), task("c", "running")]
    with pytest.raises(RolloutFailedError, match=r"was undone.*port 80 is taken"):
        wait.inspect(tasks, service(update="rollback_completed"))


@pytest.mark.parametrize("state", ["rollback_completed", "rollback_paused", "paused"])
def test_what_runs_as_told_is_up_whatever_update_ended_before(state: str) -> None:
    assert Wait().inspect([task("a", "running")], service(update=state)) is None


def test_an_update_that_has_stopped_halfway_is_given_up() -> None:
    tasks = [task("a", "running"), task("b", "failed", "exit 1", slot=2)]
    with pytest.raises(RolloutFailedError, match="has stopped: on node dog, exit 1"):
        Wait().inspect(tasks, service(2, "paused"))


def test_an_error_names_node_cause_remedy_and_the_command_that_tries_again() -> None:
    def advise(failure: TaskFailure) -> str:
        assert failure.cause is Cause.PORT
        return "  Or take another:\n      pulumi config set registry:proxyHttpPort PORT"

    wait = Wait(advise)
    wait.inspect([])
    with pytest.raises(pulumi.RunError) as error:
        wait.inspect(failed(FAILURES, f"starting container failed: {TAKEN}"))
    assert str(error.value) == (
        "s_registry doesn't come up: on node dog, port 80 is taken by another program\n"
        "  Which one it is, seen on that node:\n"
        "      ss -ltnp 'sport = :80'\n"
        "  Or take another:\n"
        "      pulumi config set registry:proxyHttpPort PORT\n"
        f"  In the words of the engine: {TAKEN}\n"
        "  More:\n"
        "      docker service ps --no-trunc s_registry\n"
        "      docker service logs s_registry\n"
        "  When that is mended, type:\n"
        "      pulumi up --stack dev"
    )


@pytest.mark.parametrize(
    ("runs", "sent"),
    [("registry:3.1.2", 42), ("registry:3.1.3", None), ("another state", None)],
)
def test_an_update_that_swarm_has_undone_is_sent_again(
    deploy: Deploy, runs: str, sent: int | None
) -> None:
    undone = UndoneUpdate(spec={"TaskTemplate": template(runs)}, version=42)
    there = RunningService(name="s_registry", undone=None if "state" in runs else undone)
    swarm = Swarm(
        engine=Engine(host="unix:///x"), node_id="1", nodes=(), services={"s_registry": there}
    )

    def program() -> None:
        container = docker.ServiceTaskSpecContainerSpecArgs(image="registry:3.1.3")
        placement = docker.ServiceTaskSpecPlacementArgs(constraints=["node.role == manager"])
        docker.Service(
            "service",
            name="s_registry",
            task_spec=docker.ServiceTaskSpecArgs(container_spec=container, placement=placement),
            opts=pulumi.ResourceOptions(transformations=[retry_undone(swarm)]),
        )

    inputs = deploy(program).registered["service"].inputs
    assert inputs["taskSpec"].get("forceUpdate") == sent
