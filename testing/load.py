"""Clients that work without a pause, so that whatever a deployment interrupts is noticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from ops.bootstrap.console import UserError

from .site import SwarmUnderTest

OPERATION_S = 120
"""Time limit of a push or a pull, seconds."""


class Load:
    """Four clients that push and pull until the block ends, and one that asks `/v2/` all the time.

    With `retries` they do what clients do by themselves when something fails, as docker does too.
    """

    def __init__(
        self,
        site: SwarmUnderTest,
        stack: str,
        domain: str,
        proxy: str,
        archive: Path,
        folder: Path,
        *,
        pulled: str,
        retries: int = 0,
    ) -> None:
        self._site, self._domain, self._archive, self._folder = site, domain, archive, folder
        self._pulled, self._retries = pulled, retries
        self._node = site.node_of(proxy)
        self._login = site.login(stack)
        self._ended = threading.Event()
        work = [self._push, self._pull, self._push, self._pull]
        self._workers = [
            threading.Thread(target=self._loop, args=(number, operation), daemon=True)
            for number, operation in enumerate(work)
        ]
        self._workers.append(threading.Thread(target=self._ask, daemon=True))
        self.done = 0
        """Operations, those that failed among them."""
        self.failed: list[str] = []
        """Last words of those that did."""
        self.gap = 0.0
        """The longest time without an answer to a request that is logged in, seconds."""
        self.refused = 0
        """How many such requests got none."""

    def __enter__(self) -> Load:
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for worker in self._workers:
            worker.join(2 * OPERATION_S)

    def _loop(self, number: int, operation: Callable[[int, int], tuple[str, ...]]) -> None:
        count = 0
        while not self._ended.is_set():
            count += 1
            retry = ("--retry-times", str(self._retries)) if self._retries else ()
            command = ("skopeo", "--insecure-policy", "copy", *retry, *operation(number, count))
            try:
                self._site.swarm.exec(self._node, *command, timeout=OPERATION_S)
            except UserError as problem:
                self.failed.append(str(problem)[-300:])
            self.done += 1

    def _push(self, number: int, count: int) -> tuple[str, ...]:
        target = f"docker://{self._domain}/load-{number}-{count % 20}:1"
        creds = ("--dest-tls-verify=false", "--dest-creds", self._login)
        return (*creds, f"docker-archive:{self._archive}", target)

    def _pull(self, number: int, _: int) -> tuple[str, ...]:
        creds = ("--src-tls-verify=false", "--src-creds", self._login)
        source = f"docker://{self._domain}/{self._pulled}"
        return (*creds, source, f"dir:{self._folder / str(number)}")

    def _ask(self) -> None:
        last = time.monotonic()
        while not self._ended.is_set():
            url = f"http://{self._domain}/v2/"
            answered = self._site.status(url, self._login, self._node) == 200
            now = time.monotonic()
            self.refused += not answered
            self.gap = max(self.gap, now - last)
            if answered:
                last = now
