"""A client that goes on asking while something happens, and notes what it is answered."""

from __future__ import annotations

import threading

from .site import Site
from .testswarm import Node


class Watch:
    """Asks `url` twice a second, with `login`, from `node`, until the block ends."""

    def __init__(self, site: Site, url: str, login: str, node: Node) -> None:
        self._site, self._url, self._login, self._node = site, url, login, node
        self._ended = threading.Event()
        self._worker = threading.Thread(target=self._ask)
        self.statuses: set[int] = set()
        """HTTP statuses; 0 where no answer came, or none within 10 s."""

    def __enter__(self) -> Watch:
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._worker.join(60)

    def _ask(self) -> None:
        while not self._ended.wait(0.5):
            self.statuses.add(self._site.status(self._url, self._login, self._node))
