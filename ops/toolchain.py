"""The Pulumi CLI with its language host and plugins: found, installed, or compiled.

`ensure()` gives the changes to the environment that make plain `pulumi` work.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from ops.console import Problem, run, say

ROOT = Path(__file__).parents[1]
INSTALLER = "https://get.pulumi.com"
OLDEST = (3, 220)
"""The program needs `Stash` resources and hooks, which older CLIs lack."""

BUILD_TOOLS = ("bash", "flock", "sha256sum")
"""What `toolchain/build.sh` uses; macOS has not all of it."""


def cache() -> Path:
    """Where things that take long to make are kept, outside the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "registry"


def pinned_version() -> str:
    """Version of the SDK in requirements.txt, which the CLI goes with."""
    pin = re.search(r"^pulumi==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    if pin is None:
        raise Problem("requirements.txt pins no version of pulumi")
    return pin[1]


def ensure() -> dict[str, str]:
    """Environment under which `pulumi` runs this program; nothing to change if it does already."""
    if _usable_on_path():
        return {}
    installed = cache() / f"pulumi-{pinned_version()}"
    if (installed / "bin" / "pulumi").exists():
        return _installed(installed)
    if folder := _compile("--cached"):
        return _compiled(folder)
    if _install(installed):
        return _installed(installed)
    if missing := [name for name in BUILD_TOOLS if not shutil.which(name)]:
        raise Problem(
            f"Pulumi can't be compiled here, since there is no {' or '.join(missing)}; install it:"
            " https://www.pulumi.com/docs/install"
        )
    if folder := _compile():
        return _compiled(folder)
    raise Problem("the Pulumi toolchain could not be compiled; its messages are above")


def _installed(folder: Path) -> dict[str, str]:
    return {"PATH": _first_on_path(folder / "bin"), "PULUMI_SKIP_UPDATE_CHECK": "1"}


def _compiled(folder: Path) -> dict[str, str]:
    return {
        **_installed(folder),
        # Its plugins stay apart from those of a Pulumi that may be installed later,
        "PULUMI_HOME": str(folder / "home"),
        # and logins stay where every Pulumi keeps them.
        "PULUMI_CREDENTIALS_PATH": str(credentials_folder()),
    }


def _compile(*flags: str) -> Path | None:
    """Folder of the toolchain that `toolchain/` compiles, once; None when it can't."""
    if not all(map(shutil.which, BUILD_TOOLS)):
        return None
    command = [str(ROOT / "toolchain" / "build.sh"), *flags]
    # No time limit: it compiles for minutes, and says so.
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def credentials_folder() -> Path:
    """Where `pulumi login` notes the backend."""
    chosen = os.environ.get("PULUMI_CREDENTIALS_PATH") or os.environ.get("PULUMI_HOME")
    return Path(chosen) if chosen else Path.home() / ".pulumi"


def _usable_on_path() -> bool:
    if not (shutil.which("pulumi") and shutil.which("pulumi-language-python")):
        return False
    found = re.search(r"v(\d+)\.(\d+)", run(["pulumi", "version"], timeout=60))
    if found and (int(found[1]), int(found[2])) >= OLDEST:
        return True
    oldest = ".".join(map(str, OLDEST))
    say(f"the pulumi on PATH is older than {oldest}: using another one for this project")
    return False


def _install(folder: Path) -> bool:
    """Runs Pulumi's own installer; False where it can't be reached."""
    try:
        with urllib.request.urlopen(INSTALLER, timeout=5) as answer:
            script = answer.read().decode()
    except (OSError, urllib.error.URLError):
        say("Pulumi's installer can't be reached: compiling Pulumi from its Go modules instead")
        return False
    say(f"installing Pulumi {pinned_version()} to {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made elsewhere, then renamed: an interruption leaves no half Pulumi behind.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="pulumi-") as scratch:
        root = Path(scratch) / "root"
        options = ["--version", pinned_version(), "--install-root", str(root), "--no-edit-path"]
        try:
            run(["sh", "-s", "--", *options], stdin=script, timeout=600)
        except Problem as problem:
            say(f"Pulumi's installer failed ({problem}): compiling Pulumi instead")
            return False
        if not (root / "bin" / "pulumi").exists():
            return False
        shutil.rmtree(folder, ignore_errors=True)
        root.rename(folder)
    return True


def _first_on_path(folder: Path) -> str:
    rest = [part for part in os.environ.get("PATH", os.defpath).split(":") if part != str(folder)]
    return ":".join([str(folder), *rest])
