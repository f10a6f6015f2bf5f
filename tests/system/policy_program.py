"""The beginning of a program for the policy pack: what `test_policy` adds breaks a policy each."""

from __future__ import annotations

import base64  # noqa: F401 - for what is added
from collections.abc import Sequence
from typing import Any

import pulumi  # noqa: F401 - for what is added
import pulumi_docker as docker

from components.distribution.config import REGISTRY_IMAGE
from components.swarm.stack import Logs
from components.swarm.task import (
    always_restart,
    json_file_log,
    limits,
    probe,
    update_and_rollback,
)

DIGEST = f"@sha256:{'0' * 64}"
UPDATE, ROLLBACK = update_and_rollback("start-first")
LOG = json_file_log(Logs())


def service(
    name: str,
    *,
    image: str = f"{REGISTRY_IMAGE}{DIGEST}",
    env: dict[str, str] | None = None,
    mounts: Sequence[docker.ServiceTaskSpecContainerSpecMountArgs] | None = None,
    memory: int | None = 64,
    update: docker.ServiceUpdateConfigArgs | None = UPDATE,
    log: docker.ServiceTaskSpecLogDriverArgs | None = LOG,
    endpoint: docker.ServiceEndpointSpecArgs | None = None,
    constraints: Sequence[Any] | None = None,
) -> None:
    """Declare a service that keeps to all policies, but for what is given."""
    docker.Service(
        name,
        task_spec=docker.ServiceTaskSpecArgs(
            container_spec=docker.ServiceTaskSpecContainerSpecArgs(
                image=image,
                env=env,
                mounts=mounts,
                healthcheck=probe("http://127.0.0.1/"),
                stop_grace_period="10s",
            ),
            resources=limits(memory, None) if memory else None,
            placement=docker.ServiceTaskSpecPlacementArgs(constraints=constraints),
            restart_policy=always_restart(),
            log_driver=log,
        ),
        update_config=update,
        rollback_config=ROLLBACK,
        endpoint_spec=endpoint,
    )


service("good")
