"""Pulumi's file backend: its locks, its copies of the state, and room for more.

Of other backends (S3, Pulumi Cloud, …) nothing is looked at here: Pulumi itself says what of
theirs stands against a deployment.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ops.bootstrap import ROOT, state
from ops.bootstrap.console import UserError, say, wait

ROOM_MIB = 50
"""Free space without which a deployment doesn't begin. Pulumi writes the state again with each
step, and copies of it: some MiB for the largest stacks."""
OWNER_SECONDS = 3600
"""Longest wait for another run of the same stack on this machine, seconds."""


WRITING_SECONDS = 1
"""Time allowed for writing a lock, which is one line of text, seconds."""
STATE_VERSION = 3
"""Version of the form of a state, in Pulumi's files and in what `pulumi stack export` prints."""
NOTES = ".attrs"
"""Ends the names of files that the backend puts beside each of its files."""


@dataclass(frozen=True)
class _Owner:
    """Whoever holds a lock, as the lock says."""

    pid: int
    user: str
    host: str

    @property
    def is_gone(self) -> bool:
        """Nobody holds the lock any more: its process was on this machine, and has ended."""
        return self.host == socket.gethostname() and not _is_pulumi(self.pid)


def folder() -> Path | None:
    """Return the folder of a file backend; None where the state is elsewhere."""
    url = os.environ.get("PULUMI_BACKEND_URL") or state.logged_in_to() or ""
    if not url.startswith("file://"):
        return None
    path = unquote(url.removeprefix("file://").partition("?")[0])
    return Path(path).expanduser() / ".pulumi"


def require_room() -> None:
    """Raise UserError where a deployment could fill the disk that the state is on."""
    here = folder()
    if here is None:
        return
    present = next(path for path in (here, *here.parents) if path.exists())
    free = shutil.disk_usage(present).free // 2**20
    if free < ROOM_MIB:
        raise UserError(
            f"{free} MiB are free on the disk of Pulumi's state ({here.parent}), and {ROOM_MIB} MiB"
            " are needed: make room first, since a state that is cut short is lost"
        )


def require_readable() -> None:
    """Raise UserError where a stack's state was cut short: Pulumi can't even list the stacks."""
    here = folder()
    for file in (here / "stacks" / _project()).glob("*.json") if here else []:
        if not _is_whole(file):
            raise UserError(
                f"the state of stack {file.stem} was cut short ({file}); to go on from Pulumi's"
                f" own copy:\n      make recover STACK={file.stem}"
            )


def has_file_of(stack: str) -> bool:
    """Return whether a file of the state says that the stack is there; else Pulumi has to say."""
    file = _stack_file(stack)
    return file is not None and file.exists()


def exported(stack: str) -> Mapping[str, Any] | None:
    """Return what `pulumi stack export` prints, from the file of the state; it takes no time.

    None where the state is elsewhere, or in a form that only Pulumi knows.
    """
    file = _stack_file(stack)
    content = _content(file) if file else None
    deployment = content and content.get("checkpoint", {}).get("latest")
    if not content or content.get("version") != STATE_VERSION or deployment is None:
        return None
    return {"version": STATE_VERSION, "deployment": deployment}


def restore(stack: str) -> bool:
    """Put Pulumi's newest copy in place of a state that was cut short; False if it wasn't.

    What was there is kept beside the copies. Where no copy is whole, the state is lost.
    """
    here, file = folder(), _stack_file(stack)
    if here is None or file is None or not file.exists() or _is_whole(file):
        return False
    backups = here / "backups" / _project() / stack
    copies = [file.with_name(f"{file.name}.bak"), *backups.glob(f"{stack}.*.json")]
    whole = sorted(filter(_is_whole, copies), key=_age)
    backups.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, backups / f"{stack}.cut-short.{time.time_ns()}")
    if not whole:
        say(f"the state of stack {stack} was cut short, and no copy is whole: beginning without")
        file.unlink()
        return True
    say(f"the state of stack {stack} was cut short: going on from {whole[0]}")
    draft = file.with_name(f".{file.name}.draft")
    shutil.copy2(whole[0], draft)
    draft.replace(file)
    return True


def wait_for_lock(stack: str) -> None:
    """Return when no other run holds the stack; a lock whose owner is gone is taken away.

    Raises UserError when the owner is on another machine, or still runs after OWNER_SECONDS.
    """
    for owner in _owners(stack):
        if owner.host != socket.gethostname():
            raise UserError(
                f"stack {stack} is held by a run of {owner.user} on {owner.host} (process"
                f" {owner.pid}). Wait until it has ended; or, if it is dead, type:\n"
                f"      pulumi cancel --yes --stack {stack}"
            )
        say(f"another run (process {owner.pid}) is at stack {stack}: waiting for its end")
    wait("the other run to end", lambda: not _owners(stack), OWNER_SECONDS, every=0.5)


def is_held(stack: str) -> bool:
    """Return whether another run holds the stack now."""
    return bool(_owners(stack))


def _owners(stack: str) -> list[_Owner]:
    """Return whoever holds a lock; take away one that nobody holds any more."""
    here, owners = folder(), []
    locks = here / "locks" / "organization" / _project() / stack if here else None
    for lock in sorted(locks.glob("*")) if locks else []:
        if lock.suffix == NOTES:
            continue
        owner = _owner(lock)
        if owner and not owner.is_gone:
            owners.append(owner)
            continue
        if owner:
            say(f"an earlier run was interrupted (its process {owner.pid} is gone): going on")
        # Else it was cut short, as on a full disk: "unexpected end of JSON input", says Pulumi.
        lock.unlink(missing_ok=True)
        lock.with_name(lock.name + NOTES).unlink(missing_ok=True)
    return owners


def _owner(lock: Path) -> _Owner | None:
    """Return who holds the lock, as it says; None where that can't be read."""
    with contextlib.suppress(OSError):
        if time.time() - lock.stat().st_mtime < WRITING_SECONDS and not _content(lock):
            # Somebody may be at writing it, in this moment.
            time.sleep(WRITING_SECONDS)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(lock.read_text())
        return _Owner(int(noted["pid"]), str(noted["username"]), str(noted["hostname"]))
    return None


def _is_pulumi(pid: int) -> bool:
    """Return whether the process lives, and is Pulumi's: in time a number is another one's."""
    try:
        # NUMBER (NAME) STATE …; Z and X have ended, be it that nobody collects them.
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        return name.endswith("(pulumi") and rest.split()[0] not in ("Z", "X")
    except OSError:
        if Path("/proc/self").exists():
            return False
    shown = ["ps", "-o", "comm=", "-p", str(pid)]  # macOS has no /proc.
    done = subprocess.run(shown, capture_output=True, text=True, check=False, timeout=10)
    return "pulumi" in done.stdout


def _project() -> str:
    match = re.search(r"^name: *(\S+)", (ROOT / "Pulumi.yaml").read_text(), re.MULTILINE)
    return match[1] if match else ""


def _stack_file(stack: str) -> Path | None:
    """Return the file of a stack's state; None where the state is elsewhere."""
    here = folder()
    return here / "stacks" / _project() / f"{stack}.json" if here else None


def _is_whole(file: Path) -> bool:
    return "checkpoint" in (_content(file) or {})


def _content(file: Path) -> Any:
    """Return what a JSON file has; None where it isn't there, or was cut short."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def _age(copy: Path) -> float:
    """Return what sorts the newest first."""
    return -copy.stat().st_mtime
