"""A command that runs beside a service's task: on its node, and with its volumes.

On the engine's own node it runs inside the task. No manager asks the engine of another node, so
there Swarm starts a task for it, with the service's image and with its volumes read-only.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from components.swarm.container_exec import execute
from components.swarm.task_log import read_log
from components.swarm.task_state import error_of, moment
from ops.status.snapshot import Swarm

LABEL = "registry.status"
"""Label of the service that such a task is of."""
LIMIT_SECONDS = 30
"""Time limit for the task to come and to end."""
LEFT_AFTER = timedelta(seconds=2 * LIMIT_SECONDS)
"""Age at which its service is one that an interrupted run has left."""
POLL_SECONDS = 0.2
_ENDED = ("complete", "failed", "rejected", "orphaned", "remove")
_Raw = Mapping[str, Any]


class MeasureError(Exception):
    """A command that couldn't be run, and why."""


def output_beside(swarm: Swarm, service: str, task: _Raw, command: Sequence[str]) -> str:
    """Return what `command` prints beside a running task; `MeasureError` when it can't."""
    if task["NodeID"] == swarm.node_id:
        return _inside(swarm, task, command)
    _remove_left(swarm)
    return _on_node(swarm, swarm.services[service], task["NodeID"], command)


def _inside(swarm: Swarm, task: _Raw, command: Sequence[str]) -> str:
    container = task["Status"]["ContainerStatus"]["ContainerID"]
    try:
        done = execute(swarm.client, container, command)
    except OSError as error:
        reason = getattr(error, "explanation", None) or error
        raise MeasureError(f"the task can't be asked: {reason}") from None
    if done.code:
        raise MeasureError(f"`{' '.join(command)}` in the task: {_last_line(done.output)}")
    return done.output


def _on_node(swarm: Swarm, service: _Raw, node: str, command: Sequence[str]) -> str:
    with _one_task(swarm, service, node, command) as name:
        end = time.monotonic() + LIMIT_SECONDS
        while True:
            tasks = swarm.client.tasks({"service": name})
            task = next((each for each in tasks if each["Status"]["State"] in _ENDED), None)
            if task:
                break
            if time.monotonic() > end:
                reasons = {error_of(each) or each["Status"]["State"] for each in tasks}
                reason = "; ".join(sorted(reasons)) or "Swarm starts none"
                raise MeasureError(f"no task on that node gave an answer: {reason}")
            time.sleep(POLL_SECONDS)
        output = read_log(swarm.client, task["ID"], tail=100)
    if task["Status"]["State"] != "complete":
        reason = _last_line(output) or error_of(task)
        raise MeasureError(f"`{' '.join(command)}` on that node: {reason}")
    return output


@contextlib.contextmanager
def _one_task(swarm: Swarm, service: _Raw, node: str, command: Sequence[str]) -> Iterator[str]:
    """Yield the id of a service whose one task runs `command`; remove it afterwards."""
    from docker.errors import APIError

    name, container = service["Spec"]["Name"], service["Spec"]["TaskTemplate"]["ContainerSpec"]
    volumes = [mount for mount in container.get("Mounts") or [] if mount["Type"] == "volume"]
    template = {
        "ContainerSpec": {
            "Image": container["Image"],
            "Command": list(command),
            "ReadOnly": True,
            "Mounts": [{**mount, "ReadOnly": True} for mount in volumes],
        },
        "RestartPolicy": {"Condition": "none"},
        # One that can be read, whatever the engine's own is.
        "LogDriver": {"Name": "json-file"},
        "Placement": {"Constraints": [f"node.id == {node}"]},
    }
    try:
        made = swarm.client.create_service(
            template,
            name=f"{name}-status-{secrets.token_hex(4)}"[-63:],
            labels={LABEL: name, "traefik.enable": "false"},
            mode={"Replicated": {"Replicas": 1}},
        )
    except APIError as error:
        raise MeasureError(f"no task can be started on that node: {error.explanation}") from None
    try:
        yield str(made["ID"])
    finally:
        _remove(swarm, made["ID"])


def _remove_left(swarm: Swarm) -> None:
    """Remove what runs that were killed have left."""
    for raw in swarm.client.services(filters={"label": LABEL}):
        if swarm.now - moment(raw["CreatedAt"]) > LEFT_AFTER:
            _remove(swarm, raw["ID"])


def _remove(swarm: Swarm, service: str) -> None:
    from docker.errors import APIError

    # It may be gone, or another run may be at it.
    with contextlib.suppress(APIError):
        swarm.client.remove_service(service)


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or [""])[-1]
