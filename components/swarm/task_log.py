"""What a task that failed had logged: often the only place that says why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import docker

from components.swarm.task_state import moment

LOG_LINES = 100
LOG_SECONDS = 30
"""Time limit of the engine's answer."""
LOG_CHARACTERS = 500

_Raw = Mapping[str, Any]


def last_words(client: docker.APIClient, tasks: Sequence[_Raw]) -> str:
    """Return what the task that failed last had logged, to go below an error; maybe nothing."""
    failed = [task for task in tasks if task["Status"]["State"] == "failed"]
    if not failed:
        return ""
    last = max(failed, key=lambda task: str(task["Status"]["Timestamp"]))
    try:
        log = read_log(client, last["ID"], tail=LOG_LINES)
    except OSError:
        return ""  # The error itself is what matters.
    error = error_in(log)
    return f"\n  Its log: {error}" if error else ""


def read_log(client: docker.APIClient, task: str, **options: int) -> str:
    """Return what a task has logged; `options` are those of Docker's API.

    `OSError` when the engine can't say, or not in time.
    """
    # Not the service's log: an engine waits for each of its tasks to have a container, and that of
    # an old one may be gone. Nor the SDK's own call, which waits without a limit.
    answer = client.get(
        f"{client.base_url}/v{client.api_version}/tasks/{task}/logs",
        params={"stdout": 1, "stderr": 1, **options},
        timeout=LOG_SECONDS,
    )
    answer.raise_for_status()
    return text_of(answer.content)


class TaskLog:
    """The log of tasks, read again and again."""

    def __init__(self, client: docker.APIClient) -> None:
        self._client = client
        self._lines: frozenset[str] = frozenset()
        self._since = 0

    def lines(self, task: str) -> Iterator[str]:
        """Yield the lines of a task that have come since the last time."""
        try:
            log = read_log(self._client, task, timestamps=1, since=self._since)
        except OSError:
            return  # The next time, unless the engine has lost it.
        lines = log.splitlines()
        yield from (line.partition(" ")[2] for line in lines if line not in self._lines)
        if lines:
            # The engine takes whole seconds: what is read next begins with some of these lines.
            self._lines = frozenset(lines)
            self._since = int(moment(lines[-1].partition(" ")[0]).timestamp())


def text_of(stream: bytes) -> str:
    """Return the text of a stream in which stdout and stderr are mixed (Docker's attach API)."""
    return b"".join(_frames(stream)).decode(errors="replace")


def _frames(stream: bytes) -> Iterator[bytes]:
    while stream:
        end = 8 + int.from_bytes(stream[4:8], "big")
        yield stream[8:end]
        stream = stream[end:]


def error_in(log: str) -> str:
    """Return the last error that a task's log has, else its last line."""
    lines = log.splitlines()
    errors = [
        line for line in lines if re.search(r'level"?[=:]"?(error|fatal|panic)|^panic:', line)
    ]
    text = (errors or lines or [""])[-1]
    # As the registry writes them, in its own format or in JSON; its other fields are of no help.
    fields = dict(re.findall(r'([\w.]+)"?[=:]"((?:[^"\\]|\\.)*)"', text))
    return str(fields.get("err.detail") or fields.get("msg") or text)[:LOG_CHARACTERS]
