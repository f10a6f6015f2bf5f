"""The schema of the registry's configuration, made from the module that images/registry pins."""

from __future__ import annotations

import os
from pathlib import Path

from ops.console import run
from ops.recipes import BUILD_SECONDS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def made_anew() -> str:
    """Return the schema as JSON. `Problem` when Go is missing or doesn't compile it."""
    settings = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    return run(
        ["go", "run", HERE / "main.go"],
        cwd=ROOT / "images" / "registry",
        env={**os.environ, **settings},
        timeout=BUILD_SECONDS,
    )
