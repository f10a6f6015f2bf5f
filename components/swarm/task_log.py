"""What a task that failed had logged: often the only place that says why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import docker

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
        # Not the service's log: an engine waits for each of its tasks to have a container, and
        # that of an old one may be gone. Nor the SDK's own call, which waits without a limit.
        answer = client.get(
            f"{client.base_url}/v{client.api_version}/tasks/{last['ID']}/logs",
            params={"stdout": 1, "stderr": 1, "tail": LOG_LINES},
            timeout=LOG_SECONDS,
        )
        answer.raise_for_status()
    except OSError:
        return ""  # The error itself is what matters.
    error = error_in(b"".join(_frames(answer.content)).decode(errors="replace"))
    return f"\n  Its log: {error}" if error else ""


def _frames(stream: bytes) -> Iterator[bytes]:
    """Yield the parts of a stream in which stdout and stderr are mixed (Docker's attach API)."""
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
