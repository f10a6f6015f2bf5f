"""Parts of a task that every service here has alike.

Durations are in the form in which the provider prints them (`1m15s`, not `75s`): it
compares texts, and any other form would be a difference on each `up`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_docker as docker

from components.swarm import NAMESPACE
from components.swarm.stack import Logs

Order = Literal["start-first", "stop-first"]
GO_MEMORY = 0.75
"""Part of a task's memory that Go may use, stacks included, before it collects its garbage more
often; the rest is for the kernel's share of connections."""


@dataclass(frozen=True, kw_only=True)
class MountedData:
    """Data as a task finds them: by mounts, on the nodes that have them."""

    mounts: Sequence[docker.ServiceTaskSpecContainerSpecMountArgs] = ()
    """None for an object store."""
    constraints: Sequence[pulumi.Input[str]] = ()
    """Placement constraints; none where every node sees the data."""

    @classmethod
    def on_node(cls, node: str, stack_name: str, volume: str, path: str) -> MountedData:
        """Return a named volume, at `path` of a task, on the node with that host name.

        It stays where it is when the service goes. What follows a volume's data, and guards them,
        is `Storage`.
        """
        return cls(
            mounts=[volume_mount(stack_name, volume, path)],
            constraints=[f"node.hostname == {node}"],
        )


def probe(url: str) -> docker.ServiceTaskSpecContainerSpecHealthcheckArgs:
    """Return a health check that `url`, seen from inside the task, answers 2xx.

    Swarm counts a task as running after its first good answer, so `interval` is also the
    shortest time in which a service can come up.
    """
    return _probe("CMD", "wget", "-q", "-O", "/dev/null", url)


def liveness_probe(url: str) -> docker.ServiceTaskSpecContainerSpecHealthcheckArgs:
    """Return a health check that `url`, seen from inside the task, has any answer at all."""
    # BusyBox: without -S it shows no status line, and no other status than 2xx is a success.
    return command_probe(f"wget -q -S -O /dev/null {url} 2>&1 | grep -q HTTP/")


def command_probe(command: str) -> docker.ServiceTaskSpecContainerSpecHealthcheckArgs:
    """Return a health check that a shell's `command` works inside the task."""
    return _probe("CMD-SHELL", command)


def program_probe(
    *args: str, interval: str = "3s"
) -> docker.ServiceTaskSpecContainerSpecHealthcheckArgs:
    """Return a health check that a program of the image, without a shell, ends with 0."""
    return _probe("CMD", *args, interval=interval)


def _probe(*tests: str, interval: str = "3s") -> docker.ServiceTaskSpecContainerSpecHealthcheckArgs:
    return docker.ServiceTaskSpecContainerSpecHealthcheckArgs(
        tests=list(tests),
        interval=interval,
        timeout="5s",
        retries=5,
        start_period="15s",
    )


def duration(seconds: int) -> str:
    """Return `seconds` as the provider prints a duration: `45s`, `1m`, `1m20s`, `1h0m35s`, `1h`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = (
        f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
    )
    # It leaves out zeros at the end.
    return re.sub(r"(?<=h)0m$", "", re.sub(r"(?<=m)0s$", "", text))


def always_restart() -> docker.ServiceTaskSpecRestartPolicyArgs:
    """Return a policy to restart for ever; a field less would be a difference on each `up`."""
    return docker.ServiceTaskSpecRestartPolicyArgs(
        condition="any", delay="2s", max_attempts=0, window="0s"
    )


def json_file_log(logs: Logs) -> docker.ServiceTaskSpecLogDriverArgs:
    """Return the log driver that rotates as `logs` says: Docker's default has no limit."""
    return docker.ServiceTaskSpecLogDriverArgs(
        name="json-file", options={"max-size": f"{logs.mib}m", "max-file": str(logs.files)}
    )


def update_and_rollback(
    order: Order,
) -> tuple[docker.ServiceUpdateConfigArgs, docker.ServiceRollbackConfigArgs]:
    """Return how new tasks come, one at a time, and how the old ones come back.

    They do when a new one fails within `monitor`.
    """
    common: dict[str, Any] = {
        "parallelism": 1,
        "order": order,
        "delay": "0s",
        "monitor": "5s",
        "max_failure_ratio": "0.0",
    }
    return (
        docker.ServiceUpdateConfigArgs(failure_action="rollback", **common),
        docker.ServiceRollbackConfigArgs(failure_action="pause", **common),
    )


def limits(memory_mib: int, cpus: float | None) -> docker.ServiceTaskSpecResourcesArgs:
    """Return hard limits of one task: MiB, and cores or None for no limit."""
    return docker.ServiceTaskSpecResourcesArgs(
        limits=docker.ServiceTaskSpecResourcesLimitsArgs(
            memory_bytes=memory_mib * 1024 * 1024,
            nano_cpus=None if cpus is None else round(cpus * 10**9),
        )
    )


def go_memory(memory_mib: int, fraction: float = GO_MEMORY) -> dict[str, str]:
    """Return the variable that limits Go to a `fraction` of a task's memory, a hard limit in MiB.

    Else what many clients at once leave behind ends the task before Go collects its garbage.
    """
    return {"GOMEMLIMIT": f"{round(memory_mib * fraction)}MiB"}


def secret_file(
    path: str, secret: docker.Secret, owner: int = 0
) -> docker.ServiceTaskSpecContainerSpecSecretArgs:
    """Return a Swarm secret as a file that only its owner, root unless said otherwise, reads."""
    return docker.ServiceTaskSpecContainerSpecSecretArgs(
        file_name=path,
        secret_id=secret.id,
        secret_name=secret.name,
        file_uid=str(owner),
        file_gid=str(owner),
        file_mode=0o400,
    )


def volume_mount(
    stack_name: str,
    volume: str,
    path: str,
    driver: str | None = None,
    options: Mapping[str, str] | None = None,
) -> docker.ServiceTaskSpecContainerSpecMountArgs:
    """Return a named volume, which Swarm makes on the node where a task starts."""
    return docker.ServiceTaskSpecContainerSpecMountArgs(
        type="volume",
        source=volume,
        target=path,
        volume_options=docker.ServiceTaskSpecContainerSpecMountVolumeOptionsArgs(
            driver_name=driver,
            driver_options=dict(options or {}) or None,
            labels=[
                docker.ServiceTaskSpecContainerSpecMountVolumeOptionsLabelArgs(
                    label=NAMESPACE, value=stack_name
                )
            ],
        ),
    )
