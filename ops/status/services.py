"""A line for each service: how many tasks run, where, since when, of which image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from components.swarm.task_failure import read_failure
from components.swarm.task_state import error_of, moment, wanted
from ops.quantities import span
from ops.status.drift import changed_parts_of_tasks
from ops.status.line import Line, State, stamp
from ops.status.snapshot import Deployed, Swarm

RECENT = timedelta(hours=1)
"""A task that has failed no longer ago is worth a warning, also where another one runs by now."""
_FAILED = ("failed", "rejected")
_Raw = Mapping[str, Any]


def service_lines(stack: Deployed, swarm: Swarm) -> list[Line]:
    """Return a line for each service of the state."""
    return [
        _line(stack, swarm, name, inputs)
        if name in swarm.services
        else Line(
            title=stack.short(name),
            state="wrong",
            text="the service was removed",
            commands=(stack.put_back,),
        )
        for name, inputs in sorted(stack.services.items())
    ]


def _line(stack: Deployed, swarm: Swarm, name: str, inputs: _Raw) -> Line:
    service, running, names = swarm.services[name], swarm.running(name), swarm.node_names
    count, image = _declared(inputs, service, running), _image(service)
    parts = [f"{len(running)} of {count} run" if len(running) != 1 or count != 1 else "runs"]
    facts: dict[str, Any] = {"image": image, "running": len(running), "wanted": count}
    if running:
        nodes = sorted({names.get(task.get("NodeID", ""), "?") for task in running})
        since = max(moment(task["Status"]["Timestamp"]) for task in running)
        parts.append(f"on {', '.join(nodes)} for {span(swarm.now - since)}")
        facts |= {"nodes": nodes, "since": stamp(since)}
    state, addition, commands = _trouble(stack, swarm, service, inputs, count)
    text = f"{' '.join(parts)}, {image}{addition}"
    return Line(title=stack.short(name), state=state, text=text, commands=commands, facts=facts)


def _trouble(
    stack: Deployed, swarm: Swarm, service: _Raw, inputs: _Raw, count: int
) -> tuple[State, str, tuple[str, ...]]:
    """Return the state of a service, what is to be added to its line, and commands."""
    name = service["Spec"]["Name"]
    more = (f"docker service ps --no-trunc {name}", f"make logs STACK={stack.stack}")
    tasks, running = swarm.tasks_of(name), swarm.running(name)
    reason = _last_failure(name, tasks, swarm.node_names)
    update = (service.get("UpdateStatus") or {}).get("State", "")
    if len(running) < count:
        scaled = service["Spec"]["Mode"].get("Replicated", {}).get("Replicas", count)
        if scaled < count:
            return "wrong", f"; it was scaled to {scaled}", (stack.put_back,)
        return "wrong", reason, more
    if update == "paused":
        return "wrong", f"; its update has stopped{reason}", more
    # Where it is as declared, it was another update, before the last deployment, that was undone.
    if update.startswith("rollback") and changed_parts_of_tasks(inputs, service["Spec"]):
        return "warning", f"; its last update was undone{reason}", more
    failed = [task for task in tasks if task["Status"]["State"] in _FAILED]
    late = [task for task in failed if swarm.now - moment(task["Status"]["Timestamp"]) < RECENT]
    if late:
        times = "once" if len(late) == 1 else f"at least {len(late)} times"
        return "warning", f"; it failed {times} in the last hour{reason}", more
    return "ok", "; an update is under way" if update == "updating" else "", ()


def _declared(inputs: _Raw, service: _Raw, running: Sequence[_Raw]) -> int:
    """Return how many tasks were declared: of a global service, one on each of its nodes."""
    replicated = (inputs.get("mode") or {}).get("replicated")
    return int(replicated["replicas"]) if replicated else wanted(service, running)


def _image(service: _Raw) -> str:
    container = service["Spec"]["TaskTemplate"].get("ContainerSpec") or {}
    return str(container.get("Image", "")).partition("@")[0]


def _last_failure(name: str, tasks: Sequence[_Raw], nodes: Mapping[str, str]) -> str:
    """Return why a task doesn't run, the newest that says so, to go on with in a sentence."""
    failed = [task for task in tasks if error_of(task)]
    newest = max(failed, key=lambda task: str(task["Status"]["Timestamp"]), default=None)
    if newest is None:
        return ""
    node = nodes.get(newest.get("NodeID", ""), "")
    return f": {read_failure(error_of(newest), service=name, node=node).headline}"
