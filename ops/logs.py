"""The logs of several services as one stream, in the order of time."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from components.swarm import NAMESPACE
from ops.bootstrap.console import UserError, run
from ops.stack import Stack

TAIL = 100
"""Last lines of each service."""
FOLLOW_SECONDS = 1.0
"""Time for which new lines are collected before they are sorted and printed, seconds."""
LIMIT_SECONDS = 30.0
"""Time limit without `follow`, seconds: a node that doesn't answer keeps a service's log open."""
_LINE = re.compile(r"(?P<time>\S+T[\d:]+)\S* (?P<service>\S+?)\.\w+\.\w+@(?P<node>\S+) +\| ?")
"""Beginning of each line of `docker service logs --timestamps`."""


def show(stack: Stack, *, follow: bool) -> None:
    """Print the last lines of the stack's services; with `follow`, go on until Ctrl-C."""
    stack.engine_config.lead_docker()
    label = f"label={NAMESPACE}={stack.config.swarm_stack}"
    services = run(["docker", "service", "ls", "-q", "--filter", label]).split()
    if not services:
        raise UserError(f"stack {stack.name} has no services here; deploy it first")
    show_services(services, follow=follow)


def show_services(services: Sequence[str], *, follow: bool) -> None:
    """Print the last lines of the services, oldest first; with `follow`, go on until Ctrl-C."""
    # Times of one length, in UTC, before each line: as texts they are in the order of time.
    options = ["--timestamps", "--tail", str(TAIL), *(["--follow"] if follow else [])]
    readers = [
        subprocess.Popen(
            ["docker", "service", "logs", *options, service],
            # What containers write to stderr, the client does too.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        for service in services
    ]
    try:
        streams = [reader.stdout or () for reader in readers]
        for line in merged(streams, FOLLOW_SECONDS if follow else LIMIT_SECONDS):
            sys.stdout.write(shortened(line))
            sys.stdout.flush()
    finally:
        for reader in readers:
            reader.terminate()
        for reader in readers:
            reader.wait(timeout=60)


def shortened(line: str) -> str:
    """Return `line` with the time (UTC) to the second, and without the task's number and id."""
    return _LINE.sub(lambda begin: f"{begin['time']} {begin['service']}@{begin['node']} | ", line)


def merged(streams: Sequence[Iterable[str]], seconds: float) -> Iterator[str]:
    """Yield the lines of all streams in the order of their beginnings, batch by batch.

    A batch ends when all streams have ended, or `seconds` after its first line.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read(stream: Iterable[str]) -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    for stream in streams:
        threading.Thread(target=read, args=(stream,), daemon=True).start()
    running, batch, end = len(streams), list[str](), 0.0
    while running:
        try:
            line = lines.get(timeout=max(end - time.monotonic(), 0) if batch else None)
        except queue.Empty:
            yield from sorted(batch)
            batch.clear()
            continue
        if line is None:
            running -= 1
            continue
        if not batch:
            end = time.monotonic() + seconds
        batch.append(line)
    yield from sorted(batch)
