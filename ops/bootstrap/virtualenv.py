"""The project's virtual environment, `.venv`: the one that Pulumi.yaml names."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from ops import OLDEST
from ops.bootstrap import ROOT, packages
from ops.bootstrap.console import LIMIT_SECONDS, UserError, one_at_a_time, run, say, write_whole
from ops.bootstrap.packages import first_on_path

FOLDER = ROOT / ".venv"
UNFINISHED = ".unfinished"
"""File in it for as long as something is being installed: what was interrupted is made anew."""

_PIP = (FOLDER / "bin" / "python", "-m", "pip")


def ensure(requirements: str = "requirements.txt") -> dict[str, str]:
    """Return the environment with `.venv` first on PATH, which has all of `requirements`."""
    if not _has(requirements):
        FOLDER.mkdir(exist_ok=True)
        # Another command may be about it, such as `make exports` in another terminal.
        with one_at_a_time(FOLDER):
            if not _has(requirements):
                _install(requirements)
    return {
        "VIRTUAL_ENV": str(FOLDER),
        "PATH": first_on_path(FOLDER / "bin"),
    }


def _has(requirements: str) -> bool:
    """Return whether all of `requirements`, as that file is now, was installed."""
    stamp = _stamp(requirements)
    return stamp.exists() and stamp.read_text() == _digest(requirements)


def _stamp(requirements: str) -> Path:
    return FOLDER / f".{requirements}"


def _digest(requirements: str) -> str:
    return hashlib.sha256((ROOT / requirements).read_bytes()).hexdigest()


def _install(requirements: str) -> None:
    say(f"installing {requirements} into .venv")
    if not _is_sound():
        _create()
    (FOLDER / UNFINISHED).touch()
    # Nothing that isn't named there, and nothing of another content.
    run(
        [*_PIP, "install", "--quiet", "--require-hashes", "-r", ROOT / requirements],
        timeout=900,
    )
    (FOLDER / UNFINISHED).unlink()
    write_whole(_stamp(requirements), _digest(requirements))


def lock() -> None:
    """Write requirements*.txt anew from requirements*.in, for every Python and machine."""
    environment = {**os.environ, **ensure("requirements-dev.txt")}
    oldest = ".".join(map(str, OLDEST))
    # In this order: development takes the versions that the program has.
    for name in ("requirements", "requirements-dev"):
        say(f"{name}.txt: what {name}.in needs, in its newest versions")
        run(
            [
                *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", oldest),
                *("--upgrade", "--generate-hashes", "--no-annotate"),
                *("--custom-compile-command", "make lock"),
                *("--output-file", f"{name}.txt", f"{name}.in"),
            ],
            cwd=ROOT,
            env=environment,
            timeout=900,
        )


def enter(*args: str) -> None:
    """Go on as `python -m ops ARGS` of the virtual environment, unless this process is of it."""
    # The first is another one where PYTHONHOME is set, and then this would never end.
    if FOLDER not in (Path(sys.prefix), Path(sys.executable).parents[1]):
        python = FOLDER / "bin" / "python"
        os.execv(python, [str(python), "-m", "ops", *args])  # noqa: S606 - no shell is wanted


def _is_sound() -> bool:
    """Return whether packages can be installed into it: it is there, and nothing is half done."""
    if (FOLDER / UNFINISHED).exists() or not (FOLDER / "bin" / "python").exists():
        return False
    asked = subprocess.run([*_PIP, "--version"], capture_output=True, check=False, timeout=60)
    return asked.returncode == 0


def _create() -> None:
    create = [sys.executable, "-m", "venv", "--clear", str(FOLDER)]
    done = subprocess.run(create, capture_output=True, check=False, timeout=LIMIT_SECONDS)
    if done.returncode == 0:
        return
    # Debian and Ubuntu leave part of Python's own venv to a package.
    if os.geteuid() != 0 or not Path("/usr/bin/apt-get").exists():
        raise UserError(
            f"`{' '.join(create)}` failed; on Debian or Ubuntu: sudo apt-get install python3-venv"
        )
    packages.apt("update")
    packages.apt("install", "--yes", "--no-install-recommends", "python3-venv")
    run(create, timeout=120)
