"""Waiting for a service: what is waited for, what is given up, and what is only history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_docker as docker
import pytest

from components.errors import RolloutFailedError
from components.swarm import rollout
from components.swarm.engine import Engine
from components.swarm.inspect import RunningService, Swarm, UndoneUpdate
from components.swarm.retry import retry_undone
from components.swarm.rollout import (
    FAILURES,
    NETWORK_SECONDS,
    PENDING_SECONDS,
    RECENT_SECONDS,
    STEADY_SECONDS,
    Rollout,
    RolloutArgs,
)
from components.swarm.summary import actual_summary
from components.swarm.task_failure import Cause, TaskFailure

from .conftest import Deploy

TIMEOUT = 300
ENGINE_TIME = "2026-11-25T13:00:00.123456789+01:00"
LONG_AGO = "2026-11-01T12:00:00.987654321Z"
JUST_NOW = "2026-11-25T11:59:50.5Z"
"""By the engine's clock, which is in another zone."""
TAKEN = "listen tcp4 0.0.0.0:80: bind: address already in use"


def template(image: str = "registry:3.1.2", constraint: str = "node.role == manager") -> Any:
    return {
        "ContainerSpec": {"Image": image},
        "Placement": {"Constraints": [constraint]},
    }


EXPECTED = actual_summary({"TaskTemplate": template()})


def service(
    replicas: int | None = 1, update: str = "", runs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a service; `replicas=None` is a global one, `update` the state of its last update."""
    mode = {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}}
    spec = {"Name": "s_registry", "TaskTemplate": runs or template(), "Mode": mode}
    return {"Spec": spec, **({"UpdateStatus": {"State": update}} if update else {})}


def task(
    id_: str, state: str, error: str = "", *, slot: int | str = 1, **more: Any
) -> dict[str, Any]:
    """Return a task of replica `slot`, or of a global service on node `slot`."""
    ended = state in ("failed", "rejected", "shutdown")
    where = {"Slot": slot} if isinstance(slot, int) else {"NodeID": slot}
    return {
        "ID": id_,
        "Spec": template(),
        "Status": {"State": state, "Err": error},
        "DesiredState": "shutdown" if ended else "running",
        "CreatedAt": LONG_AGO,
        "NodeID": "1",
        **where,
        **more,
    }


def failed(count: int, error: str = "task: non-zero exit (137)", **more: Any) -> list[Any]:
    return [task(f"failed{number}", "failed", error, **more) for number in range(count)]


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Wait:
    """A wait for the service that is `EXPECTED`, and its clock."""

    def __init__(self, advise: rollout.Advise | None = None) -> None:
        self.clock = Clock()
        self.rollout = Rollout(
            expected=EXPECTED,
            args=RolloutArgs(timeout=TIMEOUT, retry_command="pulumi up --stack dev", advise=advise),
            nodes=lambda: {"1": "dog", "2": "cat"},
            engine_time=lambda: ENGINE_TIME,
            clock=self.clock,
        )

    def inspect(
        self, tasks: Sequence[Any], service: Mapping[str, Any] | None = None, after: float = 1
    ) -> str | None:
        """Wait for what comes `after` so many seconds."""
        self.clock.now += after
        return self.rollout.observe(service or SERVICE, tasks)


SERVICE = service()


def test_a_running_task_is_all_that_is_waited_for() -> None:
    assert Wait().inspect([task("a", "running")]) is None


@pytest.mark.parametrize("state", ["failed", "rejected"])
def test_a_service_that_runs_is_up_whatever_its_history(state: str) -> None:
    history = [task(f"old{number}", state, "exit 255") for number in range(2 * FAILURES)]
    assert Wait().inspect([*history, task("now", "running")]) is None
    assert Wait().inspect([*history, task("now", "running")], service(update="completed")) is None


def test_a_task_that_starts_again_is_waited_for_whatever_its_history() -> None:
    wait, history = Wait(), failed(FAILURES + 1, TAKEN)
    assert wait.inspect([*history, task("now", "starting")]) == "0 of 1 tasks run; starting on dog"
    assert wait.inspect([*history, task("now", "running")]) is None


def test_a_series_of_failures_that_began_before_is_given_up_after_some_more() -> None:
    wait, tasks = Wait(), failed(FAILURES + 1, TAKEN, CreatedAt=JUST_NOW)
    for number in range(FAILURES):
        assert wait.inspect([*tasks, task(f"new{number}", "starting")]) is not None
        # Swarm keeps five tasks of a replica, and forgets the oldest.
        tasks = [*tasks[1:], task(f"new{number}", "failed", TAKEN)]
    with pytest.raises(
        RolloutFailedError, match="on node dog, port 80 is taken by another program"
    ):
        wait.inspect([*tasks, task("next", "starting")])


def test_where_swarm_forgets_failed_tasks_at_once_they_still_count() -> None:
    wait = Wait()
    wait.inspect([])
    for number in range(FAILURES - 1):
        assert wait.inspect([task(f"new{number}", "failed", "exit 1")]) is not None
    with pytest.raises(RolloutFailedError, match="exit 1"):
        wait.inspect([task("last", "failed", "exit 1")])


def test_after_a_failure_of_late_a_running_task_is_watched_for_a_while() -> None:
    wait, retry = Wait(), [*failed(1, CreatedAt=JUST_NOW), task("now", "running")]
    assert "runs again" in (wait.inspect(retry) or "")
    assert "runs again" in (wait.inspect(retry, after=STEADY_SECONDS / 2) or "")
    # It fails and comes back: the watch begins anew.
    wait.inspect([task("now", "failed", "exit 1"), task("next", "starting")])
    retry = [task("now", "failed", "exit 1"), task("next", "running")]
    assert "runs again" in (wait.inspect(retry, after=STEADY_SECONDS) or "")
    assert wait.inspect(retry, after=STEADY_SECONDS) is None
    assert RECENT_SECONDS >= 10, "JUST_NOW is 10 s before the engine's time"


def test_failures_are_counted_for_each_replica() -> None:
    wait, three = Wait(), service(replicas=3)
    each_once = [
        task(f"failed{number}", "failed", "exit 1", slot=number) for number in range(FAILURES)
    ]
    assert wait.inspect([], three) is not None
    assert wait.inspect(each_once, three) is not None
    two_more = [task(f"more{number}", "failed", "exit 1", slot=1) for number in range(FAILURES)]
    with pytest.raises(RolloutFailedError):
        wait.inspect([*each_once, *two_more], three)


def test_all_replicas_must_run() -> None:
    two = [task("a", "running", slot=1), task("b", "running", slot=2)]
    starting = [*two, task("c", "starting", slot=3)]
    assert Wait().inspect(starting, service(3)) == "2 of 3 tasks run; starting on dog"
    assert Wait().inspect([*two, task("c", "running", slot=3)], service(3)) is None


def test_a_global_service_must_run_on_each_of_its_nodes() -> None:
    here, there = task("a", "running", slot="1"), task("b", "running", slot="2")
    assert Wait().inspect([here, there], service(None)) is None
    # The one that fails is `shutdown`, and its successor `ready` until Swarm tries again.
    fails = [task("b", "failed", TAKEN, slot="2")]
    fails.append(task("c", "ready", slot="2", DesiredState="ready"))
    wait = Wait()
    assert wait.inspect([here], service(None, "updating")) is not None
    waiting_for = wait.inspect([here, *fails], service(None))
    assert waiting_for == (
        "a task failed and is tried again: on node cat, port 80 is taken by another program"
    )


def test_a_global_service_that_fits_nowhere_is_given_up_after_a_while() -> None:
    wait = Wait()
    assert wait.inspect([], service(None)) == "0 of 1 tasks run"
    with pytest.raises(RolloutFailedError, match="Swarm finds no node for it"):
        wait.inspect([], service(None), after=PENDING_SECONDS)


def test_a_task_that_finds_no_node_is_given_up_after_a_while() -> None:
    wait, homeless = Wait(), [task("a", "pending", "no suitable node", NodeID="")]
    # However long Swarm has been looking before, and whatever this machine's clock says.
    assert wait.inspect(homeless) == "0 of 1 tasks run; pending"
    assert wait.inspect(homeless, after=PENDING_SECONDS - 1) is not None
    with pytest.raises(RolloutFailedError, match="Swarm finds no node for it"):
        wait.inspect(homeless)


def test_a_homeless_task_of_the_constraints_before_says_nothing_of_the_new_ones() -> None:
    old = task("a", "pending", "no suitable node", NodeID="")
    old["Spec"] = template(constraint="node.labels.disk == none")
    wait = Wait()
    for _ in range(3):
        assert wait.inspect([old], after=PENDING_SECONDS) == "0 of 1 tasks run; pending"


def test_a_network_that_can_not_be_joined_yet_is_waited_for_longer() -> None:
    error = "network sandbox join failed: error creating vxlan interface: file exists"
    wait = Wait()
    assert wait.inspect([]) is not None
    assert "can't be joined" in (wait.inspect(failed(FAILURES + 2, error)) or "")
    with pytest.raises(RolloutFailedError, match="file exists"):
        wait.inspect(failed(FAILURES + 2, error), after=NETWORK_SECONDS)


def test_what_takes_too_long_is_given_up_with_the_last_that_is_known() -> None:
    wait = Wait()
    history = failed(1, "No such image: registry:3.1.2")
    preparing = [*history, task("a", "preparing")]
    assert wait.inspect(preparing) is not None
    with pytest.raises(RolloutFailedError) as error:
        wait.inspect(preparing, after=TIMEOUT)
    assert f"s_registry doesn't come up within {TIMEOUT} s (0 of 1 tasks run" in str(error.value)
    assert "preparing on dog): on node dog, there is no image registry:3.1.2" in str(error.value)


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
