"""What the tests of both kinds have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest


@pytest.fixture(autouse=True)
def _environment_stays() -> Iterator[None]:
    """Undo what a test, or the code that it calls, changes in this process's environment."""
    with mock.patch.dict(os.environ):
        yield
