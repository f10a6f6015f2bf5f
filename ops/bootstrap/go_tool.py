"""Programs that are compiled when they are first needed, from modules that a go.mod pins."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path

from ops.bootstrap import ROOT
from ops.bootstrap.console import run, say
from ops.bootstrap.go import BUILD, BUILD_SECONDS, go_env
from ops.bootstrap.toolchain import cache

CLIENTS = ROOT / "testing/tools/clients"
"""Folder of the go.mod that pins registry clients: crane, oras, regctl."""
CRANE = "github.com/google/go-containerregistry/cmd/crane"


def compiled(pins: Path, name: str, package: str) -> Path:
    """Return `package`, compiled once into the cache with the versions in the go.mod of `pins`.

    Raises UserError when that fails.
    """
    files = (pins / "go.mod").read_bytes() + (pins / "go.sum").read_bytes()
    folder = cache() / f"tools-{hashlib.sha256(files).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    # Two test processes may want it at once.
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not program.exists():
            say(f"compiling {name}")
            half = folder / f"{name}.half"
            command = [*BUILD, "-ldflags=-s -w", "-o", str(half), package]
            run(command, cwd=pins, env=go_env(), timeout=BUILD_SECONDS)
            half.rename(program)
    return program
