"""`make status`: each line that the swarm makes, as it is when all is well and with its faults."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ops.status.deployment import deployment_lines
from ops.status.drift import drift_lines
from ops.status.line import Line
from ops.status.nodes import node_lines
from ops.status.services import service_lines

from .shared_doctor import outputs
from .shared_review import HIDDEN
from .shared_status import ago, inputs, node, service, stack, swarm, task

PUT_BACK = "pulumi up --refresh --run-program --stack prod"
REJECTED = '"No such image: registry:3.1.2"'


def shown(lines: list[Line]) -> tuple[str, str]:
    """Return state and text of the only line."""
    (line,) = lines
    assert bool(line.commands) == (line.state in ("wrong", "warning")), line
    return line.state, line.text


def test_a_service_that_runs_is_shown_with_node_time_and_version() -> None:
    (line,) = service_lines(stack(), swarm())
    assert (line.title, line.state) == ("registry", "ok")
    assert line.text == "runs on dog for 3 days, registry:3.1.2"
    assert line.facts["since"] == ago(days=3)[:19] + "Z"
    assert line.facts["nodes"] == ["dog"]


def test_a_service_that_was_removed_is_wrong() -> None:
    others = swarm(service("images_other"))
    assert shown(service_lines(stack(), others)) == ("wrong", "the service was removed")


def test_a_service_that_was_scaled_to_nothing_is_wrong() -> None:
    scaled = service(Mode={"Replicated": {"Replicas": 0}})
    (line,) = service_lines(stack(), swarm(scaled, tasks=[task("failed", "long ago", days=3)]))
    assert line.state == "wrong"
    assert line.text == "0 of 1 run, registry:3.1.2; it was scaled to 0"
    assert line.commands == (PUT_BACK,)


def test_a_service_whose_tasks_fail_is_wrong_with_the_reason() -> None:
    tasks = [task("failed", "old", hours=2), task("rejected", REJECTED, minutes=1)]
    (line,) = service_lines(stack(), swarm(tasks=tasks))
    assert (line.state, line.text.partition(", ")[0]) == ("wrong", "0 of 1 run")
    assert "on node dog" in line.text
    assert "docker service ps --no-trunc images_registry" in line.commands


def test_a_service_that_waits_for_a_node_is_wrong_with_the_reason() -> None:
    waiting = task("pending", "no suitable node (scheduling constraints not satisfied)")
    state, text = shown(service_lines(stack(), swarm(tasks=[waiting])))
    assert state == "wrong"
    assert "constraint" in text


@pytest.mark.parametrize(
    ("minutes", "state"), [(5, "warning"), (61, "ok")], ids=["just now", "long ago"]
)
def test_a_task_that_failed_lately_is_a_warning(minutes: int, state: str) -> None:
    tasks = [task(minutes=1), task("failed", "task: non-zero exit (1)", minutes=minutes)]
    line = service_lines(stack(), swarm(tasks=tasks))[0]
    assert line.state == state
    assert ("it failed once in the last hour" in line.text) == (state == "warning")


@pytest.mark.parametrize(
    ("update", "state", "text"),
    [
        ("paused", "wrong", "its update has stopped"),
        ("rollback_completed", "warning", "its last update was undone"),
        ("rollback_completed", "ok", "registry:3.1.2"),  # Of one before the last deployment.
        ("updating", "ok", "an update is under way"),
        ("completed", "ok", "registry:3.1.2"),
    ],
)
def test_an_update_that_failed_is_shown(update: str, state: str, text: str) -> None:
    undone = changed("TaskTemplate.ContainerSpec.Env", ["A=c"])
    updated = {**(undone if "undone" in text else service()), "UpdateStatus": {"State": update}}
    line = service_lines(stack(), swarm(updated))[0]
    assert line.state == state
    assert line.text.endswith(text)


def test_a_global_service_runs_on_each_of_its_nodes() -> None:
    declared = inputs(mode={"global": True})
    tasks = [task() | {"Slot": 0}, task("running", days=1) | {"Slot": 0, "NodeID": "m"}]
    there = swarm(service(Mode={"Global": {}}), tasks=tasks, nodes=[node(), node("cat", "m")])
    text = "2 of 2 run on cat, dog for 24 h, registry:3.1.2"
    assert shown(service_lines(stack(declared), there)) == ("ok", text)


def test_nodes_that_start_nothing_are_named() -> None:
    assert shown(node_lines(stack(), swarm())) == ("ok", "1 node, 1 manager")
    lost = {"Status": {"State": "down"}, "ManagerStatus": {"Reachability": "unreachable"}}
    drained = {"Spec": {"Role": "worker", "Availability": "drain"}}
    nodes = [node(), node("emu", "e"), node("cat", "c", **lost), node("fox", "f", **drained)]
    state, text = shown(node_lines(stack(), swarm(nodes=nodes)))
    assert state == "warning"
    expected = "4 nodes, 3 managers; cat is down; fox is drained; no other manager may fail"
    assert text == expected


def test_what_is_as_it_was_deployed_is_no_drift() -> None:
    assert shown(drift_lines(stack(), swarm()))[0] == "ok"
    # The provider adds a digest where the program knows none.
    declared = copy.deepcopy(inputs())
    declared["taskSpec"]["containerSpec"]["image"] = "registry:3.1.2"
    assert shown(drift_lines(stack(declared), swarm()))[0] == "ok"


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the service as it is after a change by hand, at a path of its specification."""
    raw = copy.deepcopy(service())
    *parents, last = path.split(".")
    part = raw["Spec"]
    for key in parents:
        part = part[key]
    part[last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        ("TaskTemplate.ContainerSpec.Image", "registry:3.1.1", "image"),
        ("TaskTemplate.ContainerSpec.Env", ["A=c"], "variables"),
        ("TaskTemplate.ContainerSpec.Command", [], "command"),
        ("TaskTemplate.ContainerSpec.Secrets", [], "secrets"),
        ("TaskTemplate.ContainerSpec.Mounts", [], "mounts"),
        ("TaskTemplate.Placement", {}, "constraints"),
        ("TaskTemplate.Resources", {}, "memory"),
        ("TaskTemplate.Networks", [], "networks"),
        ("TaskTemplate.LogDriver", {}, "log"),
        ("EndpointSpec", {}, "ports"),
        ("Mode", {"Replicated": {"Replicas": 3}}, "number of replicas"),
        ("Mode", {"Global": {}}, "number of replicas"),
        ("Labels", {"traefik.enable": "false"}, "labels"),
    ],
)
def test_a_service_that_was_changed_is_drift(path: str, value: Any, part: str) -> None:
    (line,) = drift_lines(stack(), swarm(changed(path, value)))
    assert line.state == "wrong"
    assert line.text == f"registry has other {part}"
    assert line.commands == ("make drift STACK=prod", PUT_BACK)


def test_a_secret_value_is_left_out_of_the_comparison() -> None:
    hidden = HIDDEN
    declared = copy.deepcopy(inputs())
    declared["taskSpec"]["containerSpec"]["env"] = {"A": hidden}
    declared["labels"][0]["value"] = hidden
    assert shown(drift_lines(stack(declared), swarm()))[0] == "ok"
    declared["taskSpec"]["containerSpec"]["env"] = hidden
    declared["labels"] = hidden
    assert shown(drift_lines(stack(declared), swarm()))[0] == "ok"
    other = changed("TaskTemplate.ContainerSpec.Image", "registry:3.1.1")
    assert shown(drift_lines(stack(declared), swarm(other)))[0] == "wrong"


def test_what_is_gone_and_what_is_strange_are_drift() -> None:
    kinds = {"docker:index/network:Network": "gone-net", "docker:index/secret:Secret": "gone-key"}
    resources = [
        {"type": kind, "id": name, "urn": f"::{name}", "inputs": {"name": f"images_{name}"}}
        for kind, name in kinds.items()
    ]
    there = swarm(service("images_other"))
    state, text = shown(drift_lines(stack(resources=resources), there))
    assert state == "wrong"
    assert text == (
        "service registry is gone; network gone-net is gone; secret gone-key is gone; service"
        " other isn't in the state"
    )


def test_a_job_is_no_drift() -> None:
    assert shown(drift_lines(stack(), swarm(service(), service("images_job-gc"))))[0] == "ok"


def update(result: str, **time: float) -> dict[str, Any]:
    """Return an entry of Pulumi's history."""
    return {
        "kind": "update",
        "result": result,
        "startTime": ago(**time),
        "endTime": ago(**time),
        "environment": {"git.head": "0123456789abcdef", "git.dirty": "true"},
    }


def test_the_last_deployment_is_shown_with_its_commit() -> None:
    good = update("succeeded", days=2)
    refresh = {**update("succeeded", hours=1), "kind": "refresh"}
    history = [refresh, good]
    text = "2026-11-24 12:00 UTC, 2 days ago, commit 012345678 with changes"
    assert shown(deployment_lines(stack(history=history))) == ("ok", text)
    versioned = stack(history=history, outputs=outputs(version="1.1.0"))
    assert shown(deployment_lines(versioned)) == ("ok", f"{text}, version 1.1.0")


def test_a_deployment_that_failed_is_a_warning() -> None:
    history = [update("failed", hours=3), update("succeeded", days=2)]
    state, text = shown(deployment_lines(stack(history=history)))
    assert state == "warning"
    assert text.startswith("the one of 2026-11-26 09:00 UTC, 3 h ago failed; the last good one:")
    only = shown(deployment_lines(stack(history=[update("failed", hours=3)])))
    assert only[1].endswith("the last good one: no deployment has come up yet")
