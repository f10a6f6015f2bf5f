"""Backups of a registry, while clients push, pull and delete without a pause.

The registry, the backup and the S3 server are real processes of this machine, without a swarm.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.bootstrap.go import BUILD_SECONDS, go_env
from ops.bootstrap.image_build import IMAGES
from testing.command import output_of
from testing.tools import tool

pytestmark = pytest.mark.skipif(
    not shutil.which("go") and not os.environ.get("CI"), reason="the program is in Go"
)
LOAD_S = 240
"""Time limit for the backups of both kinds of storage, on a busy machine, seconds."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the tests of `registry-backup`."""
    program = tmp_path_factory.mktemp("backup") / "backup.test"
    compile_tests = ["go", "test", "-c", "-o", str(program), "./tools/backup"]
    output_of(compile_tests, cwd=IMAGES, env=go_env(), timeout=BUILD_SECONDS)
    return program


@pytest.mark.parametrize(
    ("test", "settings"),
    [
        ("TestUnderLoadEveryTagIsRestored", {"LOAD_RUNS": "3"}),
        ("TestKilledUnderLoadItCompletesLater", {"LOAD_KILLS": "3"}),
        ("TestManyTags", {"LOAD_TAGS": "100"}),
    ],
)
def test_a_backup_of_a_registry_in_use_is_restored_whole(
    program: Path, test: str, settings: Mapping[str, str]
) -> None:
    command = [str(program), "-test.v", f"-test.run=^{test}$"]
    env = {**os.environ, **settings, "VERSITYGW": str(tool("versitygw"))}
    output = output_of(command, cwd=program.parent, env=env, timeout=LOAD_S)
    for backend in ("files", "s3"):
        assert f"--- PASS: {test}/{backend} " in output, output
