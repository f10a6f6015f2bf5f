"""Backups of a registry, while clients push, pull and delete without a pause.

The registry, the backup and the S3 server are real processes of this machine, without a swarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from testing.go_tests import NEEDS_GO, assert_passes, compile_tests

pytestmark = NEEDS_GO
LOAD_S = 240
"""Time limit for the backups of both kinds of storage, on a busy machine, seconds."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the tests of `registry-backup`."""
    return compile_tests("backup", tmp_path_factory.mktemp("backup"))


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
    assert_passes(program, test, settings, LOAD_S)
