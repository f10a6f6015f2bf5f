"""How Go programs are compiled here: as their go.mod pins them, static, whatever the shell says."""

from __future__ import annotations

import os

BUILD_SECONDS = 900
"""Time limit for compiling or downloading a program, seconds."""
BUILD = ("go", "build", "-trimpath", "-buildvcs=false")
"""Command that compiles a program, the same for the same sources wherever they are."""


def go_env(**changes: str) -> dict[str, str]:
    """Return the environment of a `go` command, with `changes`."""
    settings = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    return {**os.environ, **settings, **changes}
