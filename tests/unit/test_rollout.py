"""Waiting for a service: what is waited for, and what is given up."""

from __future__ import annotations

import time
from typing import Any

import pulumi
import pytest

from components.rollout import FAILURES, NETWORK_SECONDS, PENDING_SECONDS, progress

LONG_AGO = PENDING_SECONDS + NETWORK_SECONDS + 10


def ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.5Z", time.gmtime(time.time() - seconds))


def template(constraint: str = "node.role == manager") -> dict[str, Any]:
    return {
        "ContainerSpec": {"Image": "registry:3.1.2"},
        "Placement": {"Constraints": [constraint]},
    }


def service(updated: float = 0) -> dict[str, Any]:
    spec = {"Name": "s_registry", "TaskTemplate": template(), "Mode": {"Replicated": {}}}
    return {"Spec": spec, "UpdatedAt": ago(updated)}


def task(state: str, error: str = "", constraint: str = "node.role == manager") -> dict[str, Any]:
    status = {"State": state, "Err": error, "Timestamp": ago(1)}
    spec = template(constraint)
    return {"Spec": spec, "Status": status, "DesiredState": "running", "CreatedAt": ago(LONG_AGO)}


def test_a_running_task_is_all_that_is_waited_for() -> None:
    assert progress(service(), [task("running")], {}) is None


def test_a_task_that_finds_no_node_is_given_up_after_a_while() -> None:
    with pytest.raises(pulumi.RunError, match="no suitable node"):
        progress(service(), [task("pending", "no suitable node")], {})


def test_a_homeless_task_of_the_constraints_before_says_nothing_of_the_new_ones() -> None:
    old = task("pending", "no suitable node", "node.labels.disk == none")
    assert progress(service(), [old], {}) == "0 of 1 tasks run; pending"


def test_a_task_that_fails_again_and_again_is_given_up() -> None:
    failed = [task("failed", "exit 1")] * (FAILURES - 1)
    assert progress(service(), failed, {}) == "a task failed and is tried again: exit 1"
    with pytest.raises(pulumi.RunError, match="Its tasks said: exit 1"):
        progress(service(), [*failed, task("failed", "exit 1")], {})


def test_a_network_that_can_not_be_joined_yet_is_waited_for_longer() -> None:
    error = "network sandbox join failed: error creating vxlan interface: file exists"
    failed = [task("rejected", error)] * (FAILURES + 2)
    assert error in (progress(service(updated=NETWORK_SECONDS / 2), failed, {}) or "")
    with pytest.raises(pulumi.RunError, match="file exists"):
        progress(service(updated=LONG_AGO), failed, {})
