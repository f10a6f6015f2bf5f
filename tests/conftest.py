"""What the tests of both kinds have in common."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from unittest import mock

import pytest

# A shell's background job ignores Ctrl-C, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _environment_stays() -> Iterator[None]:
    """Undo what a test, or the code that it calls, changes in this process's environment."""
    with mock.patch.dict(os.environ):
        yield
