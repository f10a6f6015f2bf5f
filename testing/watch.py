"""A client that goes on asking while something happens, and notes what it is answered."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from .site import SwarmUnderTest
from .testswarm import Node

PATIENCE_S = 30
"""Time limit of a request, seconds; long, since a busy machine alone takes some seconds."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Outcome of one request."""

    at_s: float
    """When it was asked, since the watch began."""
    status: int
    """HTTP status; 0 for none."""
    seconds: float
    """Time until the answer."""
    error: str
    """Why there was no answer, in curl's words; empty if there was one."""


class Watch:
    """Asks `url` twice a second, with `login`, from `node`, until the block ends."""

    def __init__(self, site: SwarmUnderTest, url: str, login: str, node: Node) -> None:
        self._site, self._url, self._login, self._node = site, url, login, node
        self._ended = threading.Event()
        self._worker = threading.Thread(target=self._ask)
        self.answers: list[Answer] = []
        """In order."""

    def __enter__(self) -> Watch:
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._worker.join(2 * PATIENCE_S)

    @property
    def statuses(self) -> set[int]:
        """HTTP statuses; 0 where no answer came, or none within `PATIENCE_S`."""
        return {answer.status for answer in self.answers}

    def other_than(self, *statuses: int) -> list[Answer]:
        """Return the answers with another status."""
        return [answer for answer in self.answers if answer.status not in statuses]

    def _ask(self) -> None:
        start = time.monotonic()
        while not self._ended.wait(0.5):
            begin = time.monotonic()
            status, error = self._site.answer(self._url, self._login, self._node, PATIENCE_S)
            seconds = time.monotonic() - begin
            self.answers.append(
                Answer(at_s=begin - start, status=status, seconds=seconds, error=error)
            )
