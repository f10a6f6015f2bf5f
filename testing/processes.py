"""The processes that this one started, and those that they started in turn."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
END_SECONDS = 5
"""Time limit for killed processes to be gone, seconds."""


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Be the parent of each process below this one whose own parent ends, in the block (Linux).

    Not for longer: a process that was adopted and ended stays until it is waited for, and one of
    a swarm's node would keep that node from ending.
    """
    _adopt(True)
    try:
        yield
    finally:
        _adopt(False)


def _adopt(orphans: bool) -> None:
    with contextlib.suppress(AttributeError):  # Other systems have no such call.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(orphans), 0, 0, 0)


def children() -> frozenset[int]:
    """Return the ids of the processes that run directly below this one."""
    return frozenset(_running_children())


def end_children(spared: Collection[int] = ()) -> list[str]:
    """Kill all processes below this one but those `spared`; return their command lines."""
    ended: dict[int, str] = {}
    deadline = time.monotonic() + END_SECONDS
    # The children of those that are killed are adopted, so they come next.
    while (left := _others(spared)) and time.monotonic() < deadline:
        for pid, command in left.items():
            # One that is just starting a program has no words: it has a moment to get them.
            if command or pid in ended:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        ended |= {pid: command or ended.get(pid, "") for pid, command in left.items()}
        time.sleep(0.01)
    _wait_for(ended)
    return list(ended.values())


def _wait_for(pids: Collection[int]) -> None:
    """Reap the processes that ended, as a parent has to: else they stay as zombies."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)


def _others(spared: Collection[int]) -> dict[int, str]:
    return {pid: command for pid, command in _running_children().items() if pid not in spared}


def _running_children() -> dict[int, str]:
    """Return the command lines of this process's children by their id."""
    commands: dict[int, str] = {}
    pids: list[str] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # The thread may end meanwhile.
            pids += path.read_text().split()
    for pid in pids:
        with contextlib.suppress(OSError):  # It may end meanwhile.
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip()
            status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
            # One that ended and wasn't waited for is a zombie. A process has no words for a
            # moment as it starts a program, so their absence says nothing.
            if status.rpartition(")")[2].split()[0] != "Z":
                commands[int(pid)] = command.decode(errors="replace")
    return commands
