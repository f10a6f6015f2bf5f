"""What `docker service rollback` by hand would bring back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import docker.errors
import pulumi

from components.run.target import Target
from components.swarm.engine import Engine, connected
from components.swarm.service import SwarmService

_Raw = Mapping[str, Any]


def guard_rollbacks(
    target: Target, services: Sequence[SwarmService], running: pulumi.Output[bool]
) -> pulumi.Output[bool]:
    """Return `running`, once a rollback by hand can do no harm to any of the services.

    Swarm remembers each service's specification of before, and Pulumi deletes the secrets that it
    named and that have been replaced. A rollback to it would stop the task that runs, and start no
    other. So in its place Swarm gets the present one to remember: a rollback then changes nothing.
    """
    if pulumi.runtime.is_dry_run():
        return running

    async def guard(values: Sequence[Any]) -> bool:
        is_running, *names = values
        await asyncio.to_thread(partial(_guard, target.swarm.engine, names))
        return bool(is_running)

    names = (each.resource.name for each in services)
    guarded: pulumi.Output[bool] = pulumi.Output.all(running, *names).apply(guard)
    return target.or_fail(guarded)


def _guard(engine: Engine, names: Sequence[str]) -> None:
    with connected(engine) as client:
        for name in names:
            service = client.inspect_service(name)
            if can_roll_back(service):
                continue
            spec = service["Spec"]
            try:
                # The very same one: no task is touched.
                client.update_service(
                    service["ID"],
                    service["Version"]["Index"],
                    task_template=spec["TaskTemplate"],
                    name=spec["Name"],
                    labels=spec.get("Labels"),
                    mode=spec["Mode"],
                    update_config=spec.get("UpdateConfig"),
                    rollback_config=spec.get("RollbackConfig"),
                    endpoint_spec=spec.get("EndpointSpec"),
                )
            except docker.errors.APIError as error:
                # Whoever changed the service meanwhile gave Swarm another one to remember.
                if "out of sequence" not in str(error):
                    raise


def can_roll_back(service: _Raw) -> bool:
    """Return whether the specification of before names no secret that the present one doesn't."""
    return _secrets(service.get("PreviousSpec") or {}) <= _secrets(service["Spec"])


def _secrets(spec: _Raw) -> set[str]:
    container = spec.get("TaskTemplate", {}).get("ContainerSpec") or {}
    return {secret["SecretID"] for secret in container.get("Secrets") or []}
