"""Waiting until a service runs as it is declared, and saying why when it doesn't.

The provider's own `converge_config` deletes a new service that doesn't come up, never shows the
tasks' errors, and looks every 5 s at the most often; so the program looks itself, after the
provider has done its part. It changes nothing, and no resource stands for it in a preview.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import docker
import pulumi

from components.errors import DeploymentError, RolloutFailedError
from components.run.operation import deploys
from components.run.target import Target
from components.swarm.engine import Engine, connected
from components.swarm.service import SwarmService
from components.swarm.summary import Summary, runs, summary_output
from components.swarm.task_failure import Cause, TaskFailure, read_failure
from components.swarm.task_log import last_words
from components.swarm.task_state import error_of, is_current, moment, place_of, wanted

POLL_SECONDS = 0.25
FAILURES = 3
"""So many failed tasks in one place (a replica, or a global service's node), and it is given up."""
NETWORK_SECONDS = 60
"""Time for which a node may fail to join a network. Where a network has just been removed, its
number can be another's at once, and the node's interface of the old one takes a while to go."""
PENDING_SECONDS = 20
"""Time for which Swarm may look for a node for a task."""
STEADY_SECONDS = 5
"""Time that a service must run after one of its tasks has failed: as long as Swarm watches the
tasks of an update (`monitor`)."""
RECENT_SECONDS = 60
"""A task that failed before the wait, and is no older than this, may be part of a series."""

_FAILED = ("failed", "rejected")
_UNDER_WAY = ("updating", "rollback_started")

_Raw = Mapping[str, Any]
Advise = Callable[[TaskFailure], str]
"""Advice of the caller about a failure, in lines for its users; empty when that is nothing."""


@dataclass(frozen=True, kw_only=True)
class RolloutArgs:
    """Arguments of the wait for services."""

    timeout: int
    """Seconds until a service that doesn't come up is given up."""
    retry_command: str = ""
    """The command by which the deployment is tried again, for the error's last line."""
    advise: Advise | None = None
    undo: Callable[[], Sequence[str]] = tuple
    """After a failure: take back what Swarm doesn't, and return what to say of it."""


def running(
    target: Target, services: Sequence[SwarmService], args: RolloutArgs
) -> pulumi.Output[bool]:
    """Return True when the services run as expected; `RolloutFailedError` says why not.

    Each comes with its declared summary: its own output is what the engine had right afterwards,
    which may be a rollback's already. Only a deployment waits.
    """
    if not deploys():
        return pulumi.Output.from_input(True)

    async def wait(expected: Sequence[tuple[str, Summary]]) -> bool:
        waits = (
            asyncio.to_thread(wait_until_running, target.swarm.engine, name, summary, args)
            for name, summary in expected
        )
        try:
            await asyncio.gather(*waits)
        except DeploymentError as error:
            failure = error.failure if isinstance(error, RolloutFailedError) else None
            text = "\n  ".join([str(error), *args.undo()])
            raise RolloutFailedError(text, failure) from error
        return True

    # The names come when the services have been made or changed.
    outputs = (
        pulumi.Output.all(service.resource.name, summary_output(service.task, service.endpoint))
        for service in services
    )
    ready: pulumi.Output[bool] = pulumi.Output.all(*outputs).apply(wait)
    return target.or_fail(ready)


def wait_until_running(engine: Engine, name: str, expected: Summary, args: RolloutArgs) -> None:
    """Return when service `name` runs as expected; `RolloutFailedError` when it can't."""
    message = ""
    with connected(engine) as client:
        rollout = Rollout(
            expected=expected,
            args=args,
            # Both are only asked for where a task has failed: a stack may have many services.
            nodes=functools.cache(lambda: _host_names(client)),
            engine_time=lambda: str(client.info()["SystemTime"]),
        )
        while True:
            service = client.inspect_service(name)
            tasks = client.tasks({"service": service["ID"]})
            try:
                waiting_for = rollout.observe(service, tasks)
            except RolloutFailedError as error:
                text = f"{error}{last_words(client, tasks)}"
                raise RolloutFailedError(text, error.failure) from None
            if waiting_for is None:
                return
            if waiting_for != message:
                message = waiting_for
                pulumi.log.info(f"{name}: {message}", ephemeral=True)
            time.sleep(POLL_SECONDS)


@dataclass(kw_only=True)
class Rollout:
    """A service that is waited for, look by look.

    What failed before the first look is history: Swarm keeps the last tasks of each replica, also
    of a service that has run well for weeks. And no clock of this machine is ever compared with
    the engine's.
    """

    expected: Summary
    """The service as it is declared."""
    args: RolloutArgs
    nodes: Callable[[], Mapping[str, str]] = dict
    """Host names by the swarm's ids of nodes."""
    engine_time: Callable[[], str]
    """The engine's own clock."""
    clock: Callable[[], float] = time.monotonic
    """Seconds since some moment."""

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._history: frozenset[str] | None = None  # Ids; None before the first look.
        self._failed: dict[str, str] = {}  # Place by id. Swarm soon forgets a failed task.
        self._last: TaskFailure | None = None
        self._unsteady = False  # A task has failed lately, so the next one may too.
        self._homeless_since: dict[str, float] = {}
        self._up_since: float | None = None

    def observe(self, service: _Raw, tasks: Sequence[_Raw]) -> str | None:
        """Return what the service waits for, or None when it runs.

        `RolloutFailedError` when waiting is no use.
        """
        now, name = self.clock(), service["Spec"]["Name"]
        current = [task for task in tasks if is_current(task, service)]
        self._note_failures(service, current)
        state = (service.get("UpdateStatus") or {}).get("State", "")
        # Where it is as declared, it was another update, before this one, that was undone.
        if state.startswith("rollback") and not runs(service["Spec"], self.expected):
            # Where only the ports are others, its tasks look like those of the version before.
            undone = [task for task in tasks if not is_current(task, service)]
            raise self._error(
                service,
                f"The update of {name} was undone, and the version before runs on",
                self._newest(service, undone) or self._last or self._newest(service, tasks),
            )

        count = wanted(service, current)
        up = [
            task
            for task in current
            if task["Status"]["State"] == "running" and task["DesiredState"] == "running"
        ]
        if len(up) >= count:
            self._up_since = now if self._up_since is None else self._up_since
            if state in _UNDER_WAY:
                waiting_for = "the new task runs; watching it for some seconds"
            elif self._unsteady and now - self._up_since < STEADY_SECONDS:
                waiting_for = "it runs again after a failure; watching it for some seconds"
            else:
                return None
        else:
            self._up_since = None
            if state == "paused":
                stopped = f"The update of {name} has stopped"
                raise self._error(service, stopped, self._newest(service, tasks))
            self._give_up(service, current, now)
            if self._last:
                waiting_for = f"a task failed and is tried again: {self._last.headline}"
            else:
                coming = [task for task in current if task["Status"]["State"] not in _FAILED]
                states = sorted({self._state(task) for task in coming if task not in up})
                waiting_for = "; ".join([f"{len(up)} of {count} tasks run", *states])
        if now - self._began > self.args.timeout:
            late = f"{name} doesn't come up within {self.args.timeout} s ({waiting_for})"
            raise self._error(service, late, self._last or self._newest(service, current))
        return waiting_for

    def _note_failures(self, service: _Raw, current: Sequence[_Raw]) -> None:
        failed = [task for task in current if task["Status"]["State"] in _FAILED]
        if self._history is None:
            self._history = frozenset(task["ID"] for task in failed)
            self._unsteady = bool(failed) and self._are_recent(failed)
        for task in failed:
            if task["ID"] not in self._history and task["ID"] not in self._failed:
                self._failed[task["ID"]] = place_of(task)
                self._last = self._failure(service, task)
                self._unsteady = True

    def _are_recent(self, tasks: Sequence[_Raw]) -> bool:
        """Return whether one of the tasks was made lately, both moments being the swarm's own."""
        begin = moment(self.engine_time()) - timedelta(seconds=RECENT_SECONDS)
        return any(moment(task["CreatedAt"]) > begin for task in tasks)

    def _give_up(self, service: _Raw, current: Sequence[_Raw], now: float) -> None:
        """Raise when a task fails again and again, or finds no node."""
        name, waited = service["Spec"]["Name"], now - self._began
        # A network that can't be joined may be free a while later.
        patient = self._last is not None and self._last.cause is Cause.NETWORK
        if max(Counter(self._failed.values()).values(), default=0) >= FAILURES and not (
            patient and waited < NETWORK_SECONDS
        ):
            raise self._error(service, f"{name} doesn't come up", self._last)
        placement = service["Spec"]["TaskTemplate"].get("Placement")
        for task in current:
            # Else it is one that an update of the constraints alone is about to replace.
            fits = task["Spec"].get("Placement") == placement
            if task["Status"]["State"] != "pending" or not fits or not error_of(task):
                continue
            since = self._homeless_since.setdefault(task["ID"], now)
            if now - since >= PENDING_SECONDS:
                raise self._error(service, f"{name} doesn't come up", self._failure(service, task))
        if "Global" in service["Spec"]["Mode"] and not current and waited >= PENDING_SECONDS:
            # Swarm makes no task of it then, so there's none to ask.
            failure = read_failure("no suitable node", service=name)
            raise self._error(service, f"{name} doesn't come up", failure)

    def _state(self, task: _Raw) -> str:
        node = self.nodes().get(task.get("NodeID", ""))
        return f"{task['Status']['State']}{f' on {node}' if node else ''}"

    def _failure(self, service: _Raw, task: _Raw) -> TaskFailure:
        ports = (service["Spec"].get("EndpointSpec") or {}).get("Ports") or []
        return read_failure(
            error_of(task) or "no error is noted",
            service=service["Spec"]["Name"],
            node=self.nodes().get(task.get("NodeID", ""), ""),
            published=tuple(port["PublishedPort"] for port in ports if "PublishedPort" in port),
        )

    def _newest(self, service: _Raw, tasks: Sequence[_Raw]) -> TaskFailure | None:
        """Return the last failure among `tasks`, if there is one."""
        failed = [task for task in tasks if error_of(task)]
        newest = max(failed, key=lambda task: str(task["CreatedAt"]), default=None)
        return self._failure(service, newest) if newest else None

    def _error(
        self, service: _Raw, summary: str, failure: TaskFailure | None
    ) -> RolloutFailedError:
        name = service["Spec"]["Name"]
        parts = [f"{summary}: {failure.headline}" if failure else summary]
        if failure:
            parts += [failure.remedy, self.args.advise(failure) if self.args.advise else ""]
            if failure.raw != failure.meaning:
                parts.append(f"  In the words of the engine: {failure.raw}")
        parts.append(
            f"  More:\n      docker service ps --no-trunc {name}\n      docker service logs {name}"
        )
        if self.args.retry_command:
            parts.append(f"  When that is mended, type:\n      {self.args.retry_command}")
        return RolloutFailedError("\n".join(part for part in parts if part), failure)


def _host_names(client: docker.APIClient) -> dict[str, str]:
    return {raw["ID"]: raw["Description"]["Hostname"] for raw in client.nodes()}
