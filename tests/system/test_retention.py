"""Retention, beside a registry in which clients push the same tags again and again.

The registry, retention and the S3 server are real processes of this machine, without a swarm.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testing.go_tests import NEEDS_GO, assert_passes, compile_tests

pytestmark = NEEDS_GO
LOAD_S = 240
"""Time limit for retention on all kinds of storage, on a busy machine, seconds."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the tests of `registry-gc`."""
    return compile_tests("gc", tmp_path_factory.mktemp("retention"))


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
    assert_passes(program, test, settings, LOAD_S)
