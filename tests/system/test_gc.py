"""The clean-up of a registry's storage, while clients push, pull and delete without a pause.

The registry, the clean-up and the S3 server are real processes of this machine, without a swarm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.bootstrap.image_build import BUILD_SECONDS, IMAGES
from testing.tools import tool

pytestmark = pytest.mark.skipif(
    not shutil.which("go") and not os.environ.get("CI"), reason="the program is in Go"
)
GO = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
LOAD_S = 240
"""Time limit for the clean-up on all kinds of storage, on a busy machine, seconds."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the tests of `registry-gc`."""
    program = tmp_path_factory.mktemp("gc") / "gc.test"
    go(["go", "test", "-c", "-o", str(program), "./tools/gc"], IMAGES, GO, BUILD_SECONDS)
    return program


def go(command: list[str], folder: Path, settings: Mapping[str, str], limit: float) -> str:
    """Return the command's output; fail with it when the command does."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=limit,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("test", "settings"),
    [
        ("TestUnderLoadEveryTagStaysWhole", {"GC_RUNS": "4"}),
        ("TestKilledUnderLoadNothingIsLost", {"GC_KILLS": "3"}),
    ],
)
def test_nothing_that_was_pushed_is_lost(
    program: Path, test: str, settings: Mapping[str, str]
) -> None:
    command = [str(program), "-test.v", f"-test.run=^{test}$"]
    output = go(command, program.parent, {**settings, "VERSITYGW": str(tool("versitygw"))}, LOAD_S)
    for backend in ("files", "s3"):
        assert f"--- PASS: {test}/{backend} " in output, output
