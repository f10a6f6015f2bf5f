"""A client that goes on asking while something happens, and notes what it is answered."""

from __future__ import annotations

import threading

from .site import Site
from .testswarm import Node

PATIENCE_S = 30
"""How long a client waits for an answer: long, since a busy machine alone takes some seconds."""


class Watch:
    """Asks `url` twice a second, with `login`, from `node`, until the block ends."""

    def __init__(self, site: Site, url: str, login: str, node: Node) -> None:
        self._site, self._url, self._login, self._node = site, url, login, node
        self._ended = threading.Event()
        self._worker = threading.Thread(target=self._ask)
        self.statuses: set[int] = set()
        """HTTP statuses; 0 where no answer came, or none within `PATIENCE_S`."""

    def __enter__(self) -> Watch:
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._worker.join(60)

    def _ask(self) -> None:
        while not self._ended.wait(0.5):
            asked = (self._url, self._login, self._node, PATIENCE_S)
            self.statuses.add(self._site.status(*asked))
