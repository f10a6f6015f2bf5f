"""`make test`: formatter, linter, types, and all tests that can run here."""

from __future__ import annotations

import os
import shlex
import subprocess

from ops import engine, images, toolchain, virtualenv
from ops.console import Problem, say
from ops.toolchain import ROOT

STATIC = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
)
PYTEST = (
    "pytest",
    *("--dist=loadfile", "--durations=20"),
    # A worker that hung and was ended would be replaced, and run the same test again.
    "--max-worker-restart=0",
)
TIERS = {
    "tests/unit": "--numprocesses=2",
    # A file of them mostly waits for its swarm, so three get along on two cores.
    "tests/system": "--numprocesses=3",
}
PROGRAMS = ("git", "skopeo", "buildah", "curl", "openssl", "haproxy", "redis-server", "sshd")
"""What the system tests run."""
PACKAGES = {"sshd": "openssh-server"}
"""Debian packages of programs that have another name than theirs."""


def run_all() -> None:
    """Run everything; a Problem names what failed first. ARGS in the environment go to pytest."""
    os.environ.update(virtualenv.ensure("requirements-dev.txt"))
    for command in STATIC:
        _run(*command)
    tiers = dict(TIERS)
    if os.geteuid() == 0:
        _prepare_system_tests()
        _run("python", "-m", "testing.tools")
    elif os.environ.get("CI"):
        raise Problem("tests/system starts Docker engines, so in CI the tests must run as root")
    else:
        del tiers["tests/system"]
        say("tests/system is left out: it starts Docker engines, which takes root (sudo make test)")
    if chosen := shlex.split(os.environ.get("ARGS", "")):
        # All at once: some that are chosen may be in one tier alone.
        _run(*PYTEST, *tiers.values(), *tiers, *chosen)
        return
    # One after the other, so that what takes a minute to find isn't told after half an hour.
    for tier, workers in tiers.items():
        _run(*PYTEST, workers, tier)


def bench() -> None:
    """Measures everything; a Problem when something of it can't run."""
    if os.geteuid() != 0:
        raise Problem("the benchmark starts a Docker engine, which takes root: sudo make bench")
    os.environ.update(virtualenv.ensure("requirements-dev.txt"))
    _prepare_system_tests("wrk")
    _run("python", "-m", "bench")


def _prepare_system_tests(*further: str) -> None:
    """Whatever takes minutes, before the tests: they wait for nothing but what they test."""
    os.environ.update(toolchain.ensure())
    engine.install()
    images.tarballs()
    programs = (*PROGRAMS, *further)
    missing = [PACKAGES.get(name, name) for name in programs if not engine.find(name)]
    if missing:
        engine.apt("update")
        with engine.no_autostart():
            engine.apt("install", "--yes", "--no-install-recommends", *missing)


def _run(*command: str) -> None:
    say(f"$ {' '.join(command)}")
    # No time limit: each test has one.
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise Problem(f"`{' '.join(command)}` failed")
