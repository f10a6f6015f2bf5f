"""Programs that tests run, compiled from the Go modules that go.mod here and in clients/ pins.

pebble is Let's Encrypt's small ACME server, versitygw an S3 server; actionlint checks GitHub
workflows; crane, oras and regctl push to registries and pull from them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from ops.bootstrap.console import run, say
from ops.bootstrap.image_build import BUILD_SECONDS
from ops.bootstrap.toolchain import cache

HERE = Path(__file__).parent
CLIENTS = HERE / "clients"
PACKAGES = {
    "pebble": (HERE, "github.com/letsencrypt/pebble/v2/cmd/pebble"),
    "versitygw": (HERE, "github.com/versity/versitygw/cmd/versitygw"),
    "actionlint": (HERE, "github.com/rhysd/actionlint/cmd/actionlint"),
    "crane": (CLIENTS, "github.com/google/go-containerregistry/cmd/crane"),
    "oras": (CLIENTS, "oras.land/oras/cmd/oras"),
    "regctl": (CLIENTS, "github.com/regclient/regclient/cmd/regctl"),
}
"""Folder of the go.mod, and the package, by name of the program."""


def tool(name: str) -> Path:
    """Return the program, compiled once into the cache. A Problem when that fails."""
    return compiled(PACKAGES[name][0], name, PACKAGES[name][1])


def compiled(pins: Path, name: str, package: str) -> Path:
    """Compile `package` with the versions in the go.mod of folder `pins`."""
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
            settings = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
            build = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
            command = [*build, "-o", str(half), package]
            run(command, cwd=pins, env={**os.environ, **settings}, timeout=BUILD_SECONDS)
            half.rename(program)
    return program
