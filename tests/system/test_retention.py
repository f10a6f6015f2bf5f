"""Retention, beside a registry in which clients push the same tags again and again.

The registry, retention and the S3 server are real processes of this machine, without a swarm.
"""

from __future__ import annotations

import os
import shutil
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
"""Time limit for retention on all kinds of storage, on a busy machine, seconds."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the tests of `registry-gc`."""
    program = tmp_path_factory.mktemp("retention") / "gc.test"
    compile_tests = ["go", "test", "-c", "-o", str(program), "./tools/gc"]
    output_of(compile_tests, cwd=IMAGES, env=go_env(), timeout=BUILD_SECONDS)
    return program


@pytest.mark.parametrize(
    ("test", "settings"),
    [
        ("TestRetentionTakesNoTagThatIsPushed", {"RETENTION_RUNS": "8"}),
        ("TestRetentionOfManyTagsGrowsAsTheyDo", {"RETENTION_TAGS": "60"}),
    ],
)
def test_what_is_pushed_stays_and_many_tags_take_no_longer_each(
    program: Path, test: str, settings: dict[str, str]
) -> None:
    command = [str(program), "-test.v", f"-test.run=^{test}$"]
    env = {**os.environ, **settings, "VERSITYGW": str(tool("versitygw"))}
    output = output_of(command, cwd=program.parent, env=env, timeout=LOAD_S)
    for backend in ("files", "s3"):
        assert f"--- PASS: {test}/{backend} " in output, output
