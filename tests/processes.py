"""The processes that this one started, and those that they started in turn."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
END_SECONDS = 5
"""How long killed processes may take to be gone."""


def adopt_orphans() -> None:
    """Become the parent of each process below this one whose own parent ends (Linux)."""
    with contextlib.suppress(AttributeError):  # Other systems have no such call.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> frozenset[int]:
    """Return the ids of the processes that run directly below this one."""
    return frozenset(_running_children())


def end_children(besides: Collection[int] = ()) -> list[str]:
    """Kill all processes below this one but those `besides`; return their command lines."""
    ended: dict[int, str] = {}
    deadline = time.monotonic() + END_SECONDS
    # The children of those that are killed are adopted, so they come next.
    while (left := _others(besides)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended |= left
        time.sleep(0.01)
    return list(ended.values())


def _others(besides: Collection[int]) -> dict[int, str]:
    return {pid: words for pid, words in _running_children().items() if pid not in besides}


def _running_children() -> dict[int, str]:
    """Return the command lines of this process's children by their id."""
    found = {}
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in path.read_text().split():
            with contextlib.suppress(OSError):  # It may end meanwhile.
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip()
                if words:  # One that ended and wasn't waited for has none.
                    found[int(pid)] = words.decode(errors="replace")
    return found
