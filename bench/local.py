"""`make up` on a running local stack: what of its time is Pulumi's, and what is ours."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator

from bench.figures import Figure
from bench.testbed import Testbed

ROUNDS = 3
SHIM = """#!/bin/sh
start=$(date +%s.%N)
"{program}" "$@"
code=$?
echo "$start $(date +%s.%N)" >> "{log}"
exit $code
"""
"""Stands before `pulumi` on PATH, and notes how long that took."""


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Measure it once to deploy, then again and again."""
    project = testbed.project("local")
    folder, log = testbed.folder / "shim", testbed.folder / "pulumi.log"
    folder.mkdir()
    shim = folder / "pulumi"
    shim.write_text(SHIM.format(program=shutil.which("pulumi"), log=log))
    shim.chmod(0o755)
    path = f"{folder}:{project.environment['PATH']}"
    whole, remainder = [], []
    for _ in range(ROUNDS + 1):
        log.write_text("")
        start = time.monotonic()
        testbed.swarm.exec(
            testbed.node,
            *("make", "--no-print-directory", "-C", str(project.folder), "up"),
            timeout=300,
            env={**project.environment, "PATH": path},
        )
        whole.append(time.monotonic() - start)
        calls = [line.split() for line in log.read_text().splitlines()]
        remainder.append(whole[-1] - covered([(float(begin), float(end)) for begin, end in calls]))
    yield Figure(title="`make up` again, nothing changed", ours=whole[1:], unit="s", target=10)
    yield Figure(
        title="`make up` again, without Pulumi's share", ours=remainder[1:], unit="s", target=1
    )


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return how long at least one of the `spans`, of a begin and an end, lasts: they overlap."""
    total, until = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
