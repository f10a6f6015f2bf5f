"""`make check`, `make fmt`, `make test`: formatter, linter, types and tests."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from ops.bootstrap import ROOT, daemon, images, packages, toolchain, virtualenv
from ops.bootstrap.console import UserError, say

STATIC: Sequence[Sequence[str]] = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
)
"""Checks that read the code without running it; .pre-commit-config.yaml has the same."""
FORMAT: Sequence[Sequence[str]] = (
    ("ruff", "check", "--fix-only", "."),
    ("ruff", "format", "."),
)
PYTEST = (
    "pytest",
    # Without it, a worker that hung and was ended is replaced, and runs the same test again.
    "--max-worker-restart=0",
)
UNIT, SYSTEM = "tests/unit", "tests/system"
TIERS = {
    # Three on two cores, since the slow tests mostly wait.
    UNIT: ("--numprocesses=3", "--dist=worksteal"),
    # By file, since the tests of a file share a deployment. They wait for their swarms.
    SYSTEM: ("--numprocesses=3", "--dist=loadfile", "--durations=20"),
}
"""pytest's arguments for each folder of tests."""
SYSTEM_PROGRAMS = (
    *("git", "skopeo", "buildah", "curl", "openssl", "sshd"),
    *("haproxy", "redis-server", "docker-registry"),
)
"""Programs that the system tests run."""
PACKAGES = {"sshd": "openssh-server"}
"""Debian packages, by program, whose names differ from the program's."""


def check(pytest_args: str = "") -> None:
    """Run the static checks beside the unit tests: without root, engines or a network.

    `pytest_args` choose among the tests. Raises a UserError that names all failed commands.
    """
    os.environ.update(virtualenv.ensure("requirements-dev.txt"))
    tests = (*PYTEST, *TIERS[UNIT], "--quiet", *_folders([UNIT], _split(pytest_args)))
    with subprocess.Popen(
        tests, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            failed = [command for command in STATIC if not _passes(*command)]
            # The tests' output so far, and the rest as it comes.
            say(f"$ {shlex.join(tests)}")
            if process.stdout:
                shutil.copyfileobj(process.stdout, sys.stdout.buffer, 1)
            sys.stdout.flush()
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        failed.append(tests[:1])
    if failed:
        remedy = "; `make fmt` repairs what it can" if failed[0][0] == "ruff" else ""
        raise UserError(f"failed: {', '.join(shlex.join(command) for command in failed)}{remedy}")


def format_code() -> None:
    """Sort imports, apply the fixes of the linter, and format."""
    os.environ.update(virtualenv.ensure("requirements-dev.txt"))
    for command in FORMAT:
        _run(*command)


def run_all(pytest_args: str = "") -> None:
    """Run the static checks and all tests, up to the first failure, which a UserError names.

    `pytest_args` choose among the tests.
    """
    os.environ.update(virtualenv.ensure("requirements-dev.txt"))
    for command in STATIC:
        _run(*command)
    args = _split(pytest_args)
    tiers = _tiers(args)
    if SYSTEM in tiers and os.geteuid() == 0:
        _prepare_system_tests()
        _run("python", "-m", "testing.tools")
    elif SYSTEM in tiers and (os.environ.get("CI") or tiers == [SYSTEM]):
        raise UserError(f"{SYSTEM} starts Docker engines, which takes root: sudo make test")
    elif SYSTEM in tiers:
        tiers.remove(SYSTEM)
        say(f"{SYSTEM} is left out: it starts Docker engines, which takes root (sudo make test)")
    if args:
        # In one run: pytest fails in a tier that has none of the chosen tests.
        options = [option for tier in tiers for option in TIERS[tier]]
        _run(*PYTEST, *options, *_folders(tiers, args))
        return
    # The fast tests first, so that their failures are reported within minutes.
    for tier in tiers:
        _run(*PYTEST, *TIERS[tier], tier)


def _split(pytest_args: str) -> list[str]:
    try:
        return shlex.split(pytest_args)
    except ValueError as error:
        raise UserError(f"ARGS={pytest_args}: {error}") from error


def _tiers(args: Sequence[str]) -> list[str]:
    """Return the folders of tests that `args` has files of; all, if it has none."""
    tiers = [tier for tier in TIERS if any(arg.startswith(tier) for arg in args)]
    return tiers or list(TIERS)


def _folders(tiers: Sequence[str], args: Sequence[str]) -> list[str]:
    """Return `args`, with the folders of `tiers` unless they name files."""
    has_files = any(arg.startswith(tuple(TIERS)) for arg in args)
    return [*args] if has_files else [*tiers, *args]


def bench(only: str = "") -> None:
    """Run the benchmark, or the section `only`; raise UserError when a part of it can't run."""
    if os.geteuid() != 0:
        raise UserError("the benchmark starts a Docker engine, which takes root: sudo make bench")
    os.environ.update(virtualenv.ensure("requirements-dev.txt"))
    _prepare_system_tests("wrk")
    _run("python", "-m", "bench", *(["--only", only] if only else []))


def _prepare_system_tests(*further: str) -> None:
    """Build and install everything that takes minutes, and `further` programs."""
    os.environ.update(toolchain.ensure())
    daemon.install()
    images.tarballs()
    programs = (*SYSTEM_PROGRAMS, *further)
    missing = [PACKAGES.get(name, name) for name in programs if not packages.find(name)]
    if missing:
        packages.apt("update")
        with packages.no_autostart():
            packages.apt("install", "--yes", "--no-install-recommends", *missing)


def _run(*command: str) -> None:
    if not _passes(*command):
        raise UserError(f"`{shlex.join(command)}` failed")


def _passes(*command: str) -> bool:
    say(f"$ {shlex.join(command)}")
    # No time limit: each test has one.
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0
