"""Removing what test swarms leave, also those whose process was killed before it could."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from ops.bootstrap.console import run, say, wait

from .cgroups import remove_cgroups
from .limits import ENDED_S
from .node import kill

STATE_PREFIX = "testswarm-"
"""Beginning of the name of a run's folder."""


def remove_abandoned() -> None:
    """Clean up after runs whose process was killed before it could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{STATE_PREFIX}*"):
        try:
            lock = (folder / "lock").open("r+")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # In use, or just being made.
            continue
        with lock:
            say(f"removing what an earlier run left: {folder}")
            remove(folder.name.split("-")[1], folder)


def remove(prefix: str, folder: Path) -> None:
    """Remove all that a run has made; what ran in it is killed."""
    wait(f"what ran in {folder} to end", lambda: not _kill_leftovers(folder), ENDED_S)
    for netns in Path("/run/netns").glob(f"{prefix}-*"):
        run(["ip", "netns", "delete", netns.name])
    remove_cgroups(f"{prefix}-*")
    shutil.rmtree(folder)


def _kill_leftovers(folder: Path) -> bool:
    """Kill nodes of the run that nobody has a handle on; return whether there were any."""
    some = False
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            args = (process / "cmdline").read_bytes().split(b"\0")
            if args[0] in (b"nsenter", b"unshare") and os.fsencode(folder) in args[-2]:
                kill(int(process.name))
                some = True
    return some
