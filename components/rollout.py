"""Waiting until a service runs as it was told to, and saying why when it doesn't.

The provider's own `converge_config` deletes a new service that doesn't come up, never shows the
tasks' errors, and looks every 5 s at the most often; so the program looks itself, after the
provider has done its part. It changes nothing, and no resource stands for it in a preview.
"""

from __future__ import annotations

import asyncio
import calendar
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi

from components.engine import Engine, connected
from components.service import SwarmService

POLL_SECONDS = 0.25
FAILURES = 3
"""So many failed tasks of one specification, and it is given up."""
NETWORK_SECONDS = 60
"""How long a node may fail to join a network. Where a network has just been removed, its number
can be another's at once, and the node's interface of the old one takes a while to go."""
PENDING_SECONDS = 20
"""How long Swarm may look for a node for a task."""

_Raw = Mapping[str, Any]
Summary = Mapping[str, Any]
"""What of a task's specification a setting can change: enough to see that it was rolled back."""


def running(
    engine: Engine,
    services: Sequence[SwarmService],
    timeout: int,
    undo: Callable[[], Sequence[str]] = tuple,
) -> pulumi.Output[bool]:
    """True when the services run as told; `RunError` with their tasks' errors if one doesn't.

    Each comes with what it was told: its own output is what the engine had right afterwards,
    which may be a rollback's already. In a preview nothing is looked at. `timeout` is in
    seconds. `undo` takes back, after a failure, what Swarm doesn't, and says so.
    """
    if pulumi.runtime.is_dry_run():
        return pulumi.Output.from_input(True)

    async def wait(told: Sequence[tuple[str, Summary]]) -> bool:
        waits = (
            asyncio.to_thread(wait_until_running, engine, name, summary, timeout)
            for name, summary in told
        )
        try:
            await asyncio.gather(*waits)
        except pulumi.RunError as error:
            raise pulumi.RunError("\n  ".join([str(error), *undo()])) from error
        return True

    # The names come when the services have been made or changed.
    outputs = (
        pulumi.Output.all(
            service.resource.name, pulumi.Output.from_input(service.task).apply(summary_told)
        )
        for service in services
    )
    return pulumi.Output.all(*outputs).apply(wait)


def wait_until_running(engine: Engine, name: str, told: Summary, timeout: int) -> None:
    """Returns when service `name` runs as told; `RunError` when it was undone or can't start."""
    deadline = time.monotonic() + timeout
    said = ""
    with connected(engine) as client:
        while True:
            service = client.inspect_service(name)
            tasks = client.tasks({"service": service["ID"]})
            waiting_for = progress(service, tasks, told)
            if waiting_for is None:
                return
            if time.monotonic() > deadline:
                raise pulumi.RunError(
                    f"{_failed(name)} after {timeout} s: {waiting_for}.{_look(name)}"
                )
            if waiting_for != said:
                said = waiting_for
                pulumi.log.info(f"{name}: {said}", ephemeral=True)
            time.sleep(POLL_SECONDS)


def progress(service: _Raw, tasks: Sequence[_Raw], told: Summary) -> str | None:
    """What a service waits for, or None when it runs; `RunError` when waiting is no use."""
    name = service["Spec"]["Name"]
    state = (service.get("UpdateStatus") or {}).get("State", "")
    current = [task for task in tasks if _is_current(task, service)]
    errors = [_error(task) for task in current if task["Status"]["State"] in ("failed", "rejected")]
    if state.startswith("rollback") and summary_running(service["Spec"]["TaskTemplate"]) == told:
        # An update before this one was undone, and what runs since is what is wanted again.
        state = "" if state == "rollback_completed" else "updating"
    if state.startswith("rollback") or state == "paused":
        last = next((error for error in _newest_errors(tasks)), "see the tasks")
        done = "was undone: the version before runs on" if "rollback" in state else "stopped"
        raise pulumi.RunError(
            f"The update of {name} {done}. The new tasks said: {last}.{_look(name)}\n"
            "  Mend the cause, then: pulumi up --refresh"
        )
    patient = any("network sandbox" in error for error in errors)
    if len(errors) >= FAILURES and not (patient and _since(service["UpdatedAt"]) < NETWORK_SECONDS):
        raise pulumi.RunError(f"{_failed(name)}. Its tasks said: {errors[0]}.{_look(name)}")
    placement = service["Spec"]["TaskTemplate"].get("Placement")
    homeless = [
        task
        for task in current
        # Else it is the one that an update of the constraints alone is about to replace.
        if task["Status"]["State"] == "pending" and task["Spec"].get("Placement") == placement
    ]
    for task in homeless:
        if _error(task) and _since(task["CreatedAt"]) > PENDING_SECONDS:
            raise pulumi.RunError(f"{_failed(name)}. Swarm says: {_error(task)}.{_look(name)}")
    wanted = _wanted(service, current)
    up = [
        task
        for task in current
        if task["Status"]["State"] == "running" and task["DesiredState"] == "running"
    ]
    if len(up) >= wanted and state in ("", "completed"):
        return None
    if state == "updating" and len(up) >= wanted:
        return "the new task runs; watching it for some seconds"
    if errors:
        return f"a task failed and is tried again: {errors[0]}"
    states = sorted({task["Status"]["State"] for task in current if task not in up})
    return f"{len(up)} of {wanted} tasks run{'; ' if states else ''}{', '.join(states)}"


def _wanted(service: _Raw, current: Sequence[_Raw]) -> int:
    """How many tasks shall run; of a global service Swarm has made one for each node that fits."""
    mode = service["Spec"]["Mode"]
    if "Global" in mode:
        return max(1, len([task for task in current if task["DesiredState"] == "running"]))
    return int(mode.get("Replicated", {}).get("Replicas", 1))


def summary_told(task: Any) -> Summary:
    """The summary of what the provider was told; `task` is a `ServiceTaskSpecArgs`, resolved."""
    container, limits = task.container_spec, task.resources and task.resources.limits
    return {
        "image": container.image.partition("@")[0],
        "command": list(container.commands or []),
        "args": list(container.args or []),
        "secrets": sorted(secret.secret_id for secret in container.secrets or []),
        "mounts": sorted(mount.source or "" for mount in container.mounts or []),
        "constraints": sorted(task.placement.constraints or []) if task.placement else [],
        "memory": int((limits and limits.memory_bytes) or 0),
        "cpus": int((limits and limits.nano_cpus) or 0),
        "log": dict(task.log_driver.options or {}) if task.log_driver else {},
    }


def summary_running(template: _Raw) -> Summary:
    """The summary of what the engine has now."""
    container, limits = template["ContainerSpec"], template.get("Resources", {}).get("Limits") or {}
    return {
        "image": container["Image"].partition("@")[0],
        "command": container.get("Command") or [],
        "args": container.get("Args") or [],
        "secrets": sorted(secret["SecretID"] for secret in container.get("Secrets") or []),
        "mounts": sorted(mount.get("Source", "") for mount in container.get("Mounts") or []),
        "constraints": sorted(template.get("Placement", {}).get("Constraints") or []),
        "memory": limits.get("MemoryBytes", 0),
        "cpus": limits.get("NanoCPUs", 0),
        "log": template.get("LogDriver", {}).get("Options") or {},
    }


def _is_current(task: _Raw, service: _Raw) -> bool:
    """Whether the task was made from the service's present specification."""
    spec, template = task["Spec"], service["Spec"]["TaskTemplate"]
    return all(
        spec.get(part) == template.get(part)
        for part in ("ContainerSpec", "Resources", "ForceUpdate")
    )


def _newest_errors(tasks: Sequence[_Raw]) -> list[str]:
    newest = sorted(tasks, key=lambda task: str(task["Status"]["Timestamp"]), reverse=True)
    return [_error(task) for task in newest if _error(task)]


def _error(task: _Raw) -> str:
    return str(task["Status"].get("Err") or "")


def _since(moment: str) -> float:
    """Seconds since a moment that the engine names, by this machine's clock."""
    return time.time() - calendar.timegm(time.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S"))


def _failed(name: str) -> str:
    return f"{name} doesn't come up"


def _look(name: str) -> str:
    return f"\n      docker service ps --no-trunc {name}\n      docker service logs {name}"
