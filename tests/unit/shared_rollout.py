"""A service that is waited for, look by look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.distribution.config import REGISTRY_IMAGE
from components.swarm import rollout
from components.swarm.rollout import (
    Rollout,
    RolloutArgs,
)
from components.swarm.summary import actual_summary

TIMEOUT = 300
ENGINE_TIME = "2026-11-25T13:00:00.123456789+01:00"
LONG_AGO = "2026-11-01T12:00:00.987654321Z"
TAKEN = "listen tcp4 0.0.0.0:80: bind: address already in use"


def template(image: str = REGISTRY_IMAGE, constraint: str = "node.role == manager") -> Any:
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
