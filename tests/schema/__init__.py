"""The schema of the registry's configuration, made from the module that images/go.mod pins."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ops.bootstrap.console import run
from ops.bootstrap.go import BUILD_SECONDS, go_env
from ops.bootstrap.toolchain import cache

HERE = Path(__file__).parent
MODULE = HERE.parents[1] / "images"


def made_anew() -> str:
    """Return the schema as JSON. Raises UserError when Go is missing or doesn't compile it."""
    return go("run", HERE / "main.go")


def starter() -> Path:
    """Return the program of start/main.go, compiled now where the cache hasn't got it."""
    digest = hashlib.sha256((HERE / "start" / "main.go").read_bytes())
    for pin in ("go.mod", "go.sum"):
        digest.update((MODULE / pin).read_bytes())
    program = cache() / f"starter-{digest.hexdigest()[:16]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        half = program.with_suffix(f".{os.getpid()}")
        go("build", "-o", half, HERE / "start" / "main.go")
        half.rename(program)
    return program


def go(*arguments: str | Path) -> str:
    """Return what `go` prints, asked in the module of the images."""
    return run(["go", *arguments], cwd=MODULE, env=go_env(), timeout=BUILD_SECONDS)
