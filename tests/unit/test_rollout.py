"""Waiting until a service runs, and giving up with the reason."""

from __future__ import annotations

import pytest

from components.errors import RolloutFailedError
from components.swarm.rollout import (
    FAILURES,
    NETWORK_SECONDS,
    PENDING_SECONDS,
    RECENT_SECONDS,
    STEADY_SECONDS,
)

from .shared_rollout import (
    TAKEN,
    TIMEOUT,
    Wait,
    failed,
    service,
    task,
    template,
)

JUST_NOW = "2026-11-25T11:59:50.5Z"
"""By the engine's clock, which is in another zone."""


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
