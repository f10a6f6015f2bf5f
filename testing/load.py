"""Clients that work without a pause, so that whatever a deployment interrupts is noticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from ops.bootstrap.console import UserError

from .site import SwarmUnderTest

UNAUTHORIZED = "unauthorized"
"""Word of skopeo's error where its login isn't taken."""
OPERATION_S = 120
"""Time limit of a push or a pull, seconds."""
CONTAINERD = "/run/docker/containerd/containerd.sock"
"""Address of the containerd that an engine of a test swarm has."""
CTR = ("ctr", "--address", CONTAINERD, "--namespace", "load", "images")


class Load:
    """Four clients that push and pull until the block ends, and one that asks `/v2/` all the time.

    With `retries` they do what clients do by themselves when something fails, as docker does too.
    They are skopeo, which goes on with the kind of login that it began with. `with_containerd`,
    two are containerd, which does what an answer 401 asks for, as docker does with its image store;
    these push.
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
        with_containerd: bool = False,
    ) -> None:
        self._site, self._domain, self._archive, self._folder = site, domain, archive, folder
        self._pulled, self._retries = pulled, retries
        self._node = site.node_of(proxy)
        self._login = site.login(stack)
        self._ended = threading.Event()
        self._with_containerd = with_containerd
        work = [self._push, self._pull, self._push, self._pull]
        if with_containerd:
            work[2:] = [self._push_by_containerd] * 2
        self._workers = [
            threading.Thread(target=self._loop, args=(number, operation), daemon=True)
            for number, operation in enumerate(work)
        ]
        self._workers.append(threading.Thread(target=self._ask, daemon=True))
        self.done = 0
        """Operations, those that failed among them."""
        self.failed: list[str] = []
        """Program and last words of those that did."""
        self.pushed: list[str] = []
        """Images, as `name:tag`, that skopeo has pushed: the registry has acknowledged them."""
        self.gap = 0.0
        """The longest time without an answer to a request that is logged in, seconds."""
        self.refused = 0
        """How many such requests got none."""

    @property
    def unexpected(self) -> list[str]:
        """Failures while a registry goes back from tokens to passwords, but for skopeo's.

        Containerd does what an answer 401 asks for; skopeo goes on with the token that it has.
        """
        return [
            each for each in self.failed if not (each.startswith("skopeo") and UNAUTHORIZED in each)
        ]

    def __enter__(self) -> Load:
        if self._with_containerd:
            self._site.swarm.exec(self._node, *CTR, "import", self._archive, timeout=OPERATION_S)
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
            program, *args = operation(number, count)
            try:
                self._site.swarm.exec(self._node, program, *args, timeout=OPERATION_S)
                if args[-1].startswith("docker://"):
                    self.pushed.append(args[-1].rpartition("/")[2])
            except UserError as problem:
                self.failed.append(f"{program}: {str(problem)[-300:]}")
            self.done += 1

    def _push(self, number: int, count: int) -> tuple[str, ...]:
        target = f"docker://{self._domain}/load-{number}-{count % 20}:1"
        creds = ("--dest-tls-verify=false", "--dest-creds", self._login)
        return self._copy(*creds, f"docker-archive:{self._archive}", target)

    def _pull(self, number: int, _: int) -> tuple[str, ...]:
        creds = ("--src-tls-verify=false", "--src-creds", self._login)
        source = f"docker://{self._domain}/{self._pulled}"
        return self._copy(*creds, source, f"dir:{self._folder / str(number)}")

    def _copy(self, *args: str) -> tuple[str, ...]:
        retry = ("--retry-times", str(self._retries)) if self._retries else ()
        return ("skopeo", "--insecure-policy", "copy", *retry, *args)

    def _push_by_containerd(self, number: int, count: int) -> tuple[str, ...]:
        # To another repository each time, or nothing would be left to upload.
        target = f"{self._domain}/load-{number}-{count}:1"
        creds = ("--plain-http", "--user", self._login)
        return (*CTR, "push", *creds, target, "docker.io/library/hello:1")

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
