"""`make test`: formatter, linter, types, and all tests that can run here."""

from __future__ import annotations

import os
import subprocess

from ops import engine, images, toolchain, virtualenv
from ops.console import Problem, say
from ops.toolchain import ROOT

STATIC = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
)
PROGRAMS = ("skopeo", "curl", "openssl", "haproxy", "redis-server")
"""What the system tests run, by the name of its Debian package."""


def run_all() -> None:
    """Runs everything; a Problem names what failed first."""
    os.environ.update(virtualenv.ensure("requirements-dev.txt"))
    for command in STATIC:
        _run(*command)
    tests = ["tests/unit"]
    if os.geteuid() == 0:
        _prepare_system_tests()
        tests.append("tests/system")
    elif os.environ.get("CI"):
        raise Problem("tests/system starts Docker engines, so in CI the tests must run as root")
    else:
        say("tests/system is left out: it starts Docker engines, which takes root (sudo make test)")
    # A file of system tests mostly waits for its swarm, so two of them get along on two cores.
    _run("pytest", "--numprocesses=2", "--dist=loadfile", *tests)


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
    missing = [name for name in programs if not engine.find(name)]
    if missing:
        engine.apt("update")
        with engine.no_autostart():
            engine.apt("install", "--yes", "--no-install-recommends", *missing)


def _run(*command: str) -> None:
    say(f"$ {' '.join(command)}")
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise Problem(f"`{' '.join(command)}` failed")
