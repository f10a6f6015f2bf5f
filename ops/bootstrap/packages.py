"""Programs of this machine: where they are, and on Debian and Ubuntu their installation."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ops.bootstrap.console import UserError, run, say, write_whole

POLICY = Path("/usr/sbin/policy-rc.d")
NO_AUTOSTART = "#!/bin/sh\n# registry: while packages are installed\nexit 101\n"


def apt(*args: str) -> None:
    """Run apt-get, without questions; raise a UserError with its last words when it fails."""
    say(f"apt-get {' '.join(args)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    if args[0] == "install":
        # An installation that was interrupted stands in the way of any other.
        run(["dpkg", "--configure", "-a"], env=quiet, timeout=900)
    run(["apt-get", "-o", "DPkg::Lock::Timeout=120", *args], env=quiet, timeout=900)


@contextlib.contextmanager
def no_autostart() -> Iterator[None]:
    """Keep services from starting while their packages are installed: programs are needed only."""
    # Ours may be left of a run that was interrupted: it must not stay.
    if POLICY.exists() and POLICY.read_text() != NO_AUTOSTART:
        yield
        return
    write_whole(POLICY, NO_AUTOSTART, mode=0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def program(name: str) -> str:
    """Return where a program is; raise UserError when it isn't."""
    if path := find(name):
        return path
    raise UserError(f"`{name}` is not installed")


def find(name: str) -> str | None:
    """Return where a program is, also of those that are for administrators."""
    return shutil.which(name, path=search_path())


def search_path() -> str:
    """Return PATH, and where administrators' programs are, which not every user's PATH has."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def first_on_path(folder: Path) -> str:
    """Return PATH with `folder` before all others."""
    rest = [part for part in os.environ.get("PATH", os.defpath).split(":") if part != str(folder)]
    return ":".join([str(folder), *rest])
