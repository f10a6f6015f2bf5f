"""What the tests of both kinds have in common."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

# The same cases in each run, however long a busy machine takes to make them.
settings.register_profile(
    "same cases",
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("same cases")

# A shell's background job ignores Ctrl-C, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TIERS = ("unit", "system")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its folder's name, so that `pytest -m unit` chooses."""
    here = Path(__file__).parent
    for item in items:
        for tier in TIERS:
            if here / tier in item.path.parents:
                item.add_marker(tier)


@pytest.fixture(autouse=True)
def _environment_stays() -> Iterator[None]:
    """Undo what a test, or the code that it calls, changes in this process's environment."""
    with mock.patch.dict(os.environ):
        yield
