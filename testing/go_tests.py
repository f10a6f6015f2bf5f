"""Tests under load of the tools image's programs: real registries and stores, without a swarm."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ops.bootstrap.go import BUILD_SECONDS, go_env
from ops.bootstrap.image_build import IMAGES
from testing.command import output_of
from testing.tools import tool

NEEDS_GO = pytest.mark.skipif(
    not shutil.which("go") and not os.environ.get("CI"), reason="needs Go"
)
FILES, REDIS, S3 = "files", "redis", "s3"
"""Kinds of storage that these tests run on; Redis is the cache in front of files."""


def compile_tests(package: str, folder: Path) -> Path:
    """Compile the tests of a package such as `gc` into `folder`; return the program."""
    program = folder / f"{package}.test"
    command: list[str | Path] = ["go", "test", "-c", "-o", program, f"./tools/{package}"]
    output_of(command, cwd=IMAGES, env=go_env(), timeout=BUILD_SECONDS)
    return program


def run_test(program: Path, test: str, settings: Mapping[str, str], timeout: float) -> str:
    """Run a test by its name, or `TEST$/^BACKEND`, to its end in `timeout` seconds; return its log.

    `settings` are variables that say how much it does. Fails when the test does.
    """
    command: list[str | Path] = [program, "-test.v", f"-test.run=^{test}$"]
    env = {**os.environ, **settings, "VERSITYGW": str(tool("versitygw"))}
    return output_of(command, cwd=program.parent, env=env, timeout=timeout)


def figures_of(
    program: Path, test: str, backend: str, settings: Mapping[str, str], timeout: float
) -> dict[str, Any]:
    """Run a test on one kind of storage as `run_test` does; return the figures that it logs."""
    output = run_test(program, f"{test}$/^{backend}", settings, timeout)
    logged = re.findall(r"figures: (\{.*\})$", output, re.MULTILINE)
    assert len(logged) == 1, output
    return dict(json.loads(logged[0]))


def assert_passes(
    program: Path,
    test: str,
    settings: Mapping[str, str],
    timeout: float,
    backends: Sequence[str] = (FILES, S3),
) -> None:
    """Run a test as `run_test` does, and fail unless it has run on each kind of storage."""
    output = run_test(program, test, settings, timeout)
    for backend in backends:
        assert f"--- PASS: {test}/{backend} " in output, output
