"""The Pulumi CLI with its language host and plugins: found, installed, or compiled.

`ensure()` gives the changes to the environment that make plain `pulumi` work.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from ops.bootstrap import ROOT
from ops.bootstrap.console import UserError, run, say, write_whole
from ops.bootstrap.packages import first_on_path

ARCHIVES = "https://get.pulumi.com/releases/sdk"
CHECKSUMS = "https://github.com/pulumi/pulumi/releases/download"
"""Pulumi's releases, and their checksums, which are on another server."""
VERSION_SECONDS = 24 * 3600
"""Time for which the version of a `pulumi` on PATH is taken as known."""
PLUGINS = ("docker", "random")
"""Resource plugins that the program needs, each of its SDK's version."""
OLDEST = (3, 220)
"""The program needs `Stash` resources and hooks, which older CLIs lack."""

BUILD_TOOLS = ("bash", "flock", "sha256sum")
"""Programs that `toolchain/build.sh` needs; macOS doesn't have all of them."""


def cache() -> Path:
    """Return where things that take long to make are kept, outside the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "registry"


def locked_version(package: str = "pulumi") -> str:
    """Return the version of an SDK in requirements.txt, which CLI and plugins go with."""
    pins = (ROOT / "requirements.txt").read_text()
    pin = re.search(rf"^{package}==([\w.]+)", pins, re.MULTILINE)
    if pin is None:
        raise UserError(f"requirements.txt pins no version of {package}")
    return pin[1]


def ensure() -> dict[str, str]:
    """Return the environment in which `pulumi` runs this program; empty if it does already."""
    if _usable_on_path():
        return {}
    installed = cache() / f"pulumi-{locked_version()}"
    if (installed / "bin" / "pulumi").exists():
        return _installed(installed)
    if folder := _compile("--cached"):
        return _compiled(folder)
    if _install(installed):
        return _installed(installed)
    if missing := [name for name in BUILD_TOOLS if not shutil.which(name)]:
        raise UserError(
            f"Pulumi can't be compiled here, since there is no {' or '.join(missing)}; install it:"
            " https://www.pulumi.com/docs/install"
        )
    if folder := _compile():
        return _compiled(folder)
    raise UserError("the Pulumi toolchain could not be compiled; its messages are above")


def install_plugins() -> None:
    """Have the resource plugins where Pulumi looks, which else gets them in mid-deployment."""
    for name in PLUGINS:
        version = locked_version(f"pulumi-{name}")
        run(["pulumi", "plugin", "install", "resource", name, version], timeout=600)


def _installed(folder: Path) -> dict[str, str]:
    return {"PATH": first_on_path(folder / "bin"), "PULUMI_SKIP_UPDATE_CHECK": "1"}


def _compiled(folder: Path) -> dict[str, str]:
    return {
        **_installed(folder),
        # Its plugins stay apart from those of a Pulumi that may be installed later,
        "PULUMI_HOME": str(folder / "home"),
        # and logins stay where every Pulumi keeps them.
        "PULUMI_CREDENTIALS_PATH": str(credentials_folder()),
    }


def _compile(*flags: str) -> Path | None:
    """Return the folder of the toolchain that `toolchain/` compiles, once; None when it can't."""
    if not all(map(shutil.which, BUILD_TOOLS)):
        return None
    command = [str(ROOT / "toolchain" / "build.sh"), *flags]
    # No time limit: it compiles for minutes, and says so.
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def credentials_folder() -> Path:
    """Return where `pulumi login` notes the backend."""
    chosen = os.environ.get("PULUMI_CREDENTIALS_PATH") or os.environ.get("PULUMI_HOME")
    return Path(chosen) if chosen else Path.home() / ".pulumi"


def _usable_on_path() -> bool:
    program = shutil.which("pulumi")
    if not (program and shutil.which("pulumi-language-python")):
        return False
    match = re.search(r"v(\d+)\.(\d+)", _version_of(Path(program)))
    if match and (int(match[1]), int(match[2])) >= OLDEST:
        return True
    oldest = ".".join(map(str, OLDEST))
    say(f"the pulumi on PATH is older than {oldest}: using another one for this project")
    return False


def _version_of(program: Path) -> str:
    """Return what `pulumi version` prints; a file that stays as it is, is asked once a day.

    Not once for all: some tools put a script in its place, and change what that calls.
    """
    about = program.stat()
    key = f"{program} {about.st_size} {about.st_mtime_ns} "
    note = cache() / "pulumi-version"
    if note.exists() and time.time() - note.stat().st_mtime < VERSION_SECONDS:
        noted = note.read_text()
        if noted.startswith(key):
            return noted.removeprefix(key)
    version = run([program, "version"], timeout=60)
    note.parent.mkdir(parents=True, exist_ok=True)
    write_whole(note, f"{key}{version}")
    return version


def _install(folder: Path) -> bool:
    """Install what Pulumi releases, once it is checked; False where it can't be had."""
    version, machine = locked_version(), _machine()
    name = f"pulumi-v{version}-{machine}.tar.gz"
    try:
        sums = f"{CHECKSUMS}/v{version}/pulumi-{version}-checksums.txt"
        with urllib.request.urlopen(sums, timeout=5) as answer:  # noqa: S310 - https
            expected = _sum_of(name, answer.read().decode())
    except OSError:
        say("Pulumi's releases can't be reached: compiling Pulumi from its Go modules instead")
        return False
    if expected is None:
        say(f"Pulumi {version} isn't released for {machine}: compiling it instead")
        return False
    say(f"installing Pulumi {version} to {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made elsewhere, then renamed: an interruption leaves no half Pulumi behind.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="pulumi-") as scratch:
        archive = Path(scratch) / name
        try:
            with (
                urllib.request.urlopen(f"{ARCHIVES}/{name}", timeout=60) as answer,  # noqa: S310
                archive.open("wb") as file,
            ):
                shutil.copyfileobj(answer, file)
        except OSError as error:
            say(f"Pulumi's release can't be downloaded ({error}): compiling Pulumi instead")
            return False
        if _sha256(archive) != expected:
            raise UserError(
                f"{ARCHIVES}/{name} isn't what Pulumi released: its checksum isn't the one in"
                f" {sums}. Nothing was installed; try again, or install Pulumi {version} yourself"
            )
        run(["tar", "-xzf", archive, "-C", scratch, "--no-same-owner"], timeout=600)
        root = Path(scratch) / "root"
        root.mkdir()
        (Path(scratch) / "pulumi").rename(root / "bin")
        shutil.rmtree(folder, ignore_errors=True)
        root.rename(folder)
    return True


def _machine() -> str:
    """Return this machine's kind as names of Pulumi's releases have it: `linux-x64`."""
    kinds = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{kinds.get(machine, machine)}"


def _sum_of(name: str, sums: str) -> str | None:
    """Return the checksum of a file in a list such as `sha256sum` prints."""
    lines = (line.split() for line in sums.splitlines())
    return next((line[0].lower() for line in lines if line[1:] in ([name], [f"*{name}"])), None)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
