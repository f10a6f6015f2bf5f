"""The clean-up of a registry's storage, while clients push, pull and delete without a pause.

The registry, the clean-up and the S3 server are real processes of this machine, without a swarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from testing.go_tests import FILES, NEEDS_GO, REDIS, S3, assert_passes, compile_tests

pytestmark = NEEDS_GO
LOAD_S = 240
"""Time limit for the clean-up on all kinds of storage, on a busy machine, seconds."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the tests of `registry-gc`."""
    return compile_tests("gc", tmp_path_factory.mktemp("gc"))


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
    assert_passes(program, test, settings, LOAD_S, [FILES, REDIS, S3])
