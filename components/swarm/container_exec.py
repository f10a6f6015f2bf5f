"""A command inside a running container, as `docker exec` runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import docker
import docker.errors
import requests

from components.swarm.task_log import text_of

EXEC_SECONDS = 30
"""Time limit of the command."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A command that has ended."""

    code: int
    """Its exit code."""
    output: str


def execute(
    client: docker.APIClient, container: str, command: Sequence[str], *, stderr: bool = True
) -> Execution:
    """Run `command` in a container to its end; return its output, with or without `stderr`.

    `OSError`, of which docker's APIError is one, when the engine can't, or not in time.
    """
    execution = client.exec_create(container, list(command), stderr=stderr)["Id"]
    # Not by the SDK's `exec_start`, which has no time limit, and loses what comes in one read with
    # the answer's header, as it does when this machine is busy (docker/docker-py#2042).
    answer = client.post(
        f"{client.base_url}/v{client.api_version}/exec/{execution}/start",
        json={"Detach": False, "Tty": False},
        timeout=EXEC_SECONDS,
    )
    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        docker.errors.create_api_error_from_http_exception(error)
    return Execution(
        code=client.exec_inspect(execution)["ExitCode"], output=text_of(answer.content)
    )
