"""What looking after the storage costs: collections, retention, a registry made ready for them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench import alone
from bench.artifact import Image
from bench.figures import Figure
from bench.testbed import ANSWER_S, Testbed, crane
from components.distribution.config import Wiring
from ops.bootstrap.console import UserError, say, wait
from testing.go_tests import compile_tests, run_test

FEW, MANY = 1_000, 10_000
"""Tags of a registry."""
STORES = {"files": "files", "s3": "S3"}
"""Names in the report, by those in the test program."""
RUNS_S = 600
"""Time limit for filling a registry and for what then runs on it, seconds."""
TARGET_GROWTH = 1.2
"""Growth beyond linear that is let pass: of the times, a hundredth of a second is the unit."""
MEMORY_MIB = 256
"""Limit of the task, by default."""
ROUNDS, HEADS = 3, 10_000
_RUN = re.compile(r"(\d+) tags, \[(.*?)\]: ([\d.]+) s of CPU, (\d+) MiB")
"""A collection, as the test program logs it: tags, flags, CPU, memory at the peak."""
_RETENTION = re.compile(r"(\d+) tags: ([\d.]+) s of CPU, (\d+) MiB")
"""Retention, as the test program logs it: tags, CPU, memory at the peak."""


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Measure what few and many tags take, and requests that the cache would answer."""
    program = compile_tests("gc", testbed.folder)
    for store, name in STORES.items():
        collections = [_collection(program, store, tags) for tags in (FEW, MANY)]
        yield from _growth("collection", name, *collections)
        yield from _growth("retention", name, *_retention(program, store))
    yield _heads(testbed)


def _growth(
    title: str, store: str, few: tuple[float, float], many: tuple[float, float]
) -> Iterator[Figure]:
    """Yield how what takes these CPU seconds and MiB grows with the tags, and its memory."""
    yield Figure(
        title=f"{title} of {MANY} tags on {store} / {MANY // FEW} times one of {FEW}, CPU",
        ours=[many[0]],
        peer=[few[0] * MANY / FEW],
        unit="s",
        target=TARGET_GROWTH,
    )
    yield Figure(
        title=f"{title} of {MANY} tags on {store}: memory at the peak",
        ours=[many[1]],
        unit="MiB",
        target=MEMORY_MIB,
    )


def _collection(program: Path, store: str, tags: int) -> tuple[float, float]:
    """Return CPU seconds and MiB of a collection, of as many tags, that takes untagged ones."""
    say(f"collecting {tags} tags on {store}")
    output = run_test(program, f"TestManyTags$/^{store}", {"GC_TAGS": str(tags)}, RUNS_S)
    for count, flags, seconds, memory in _RUN.findall(output):
        if int(count) == tags and flags == "--untagged":
            return float(seconds), float(memory)
    raise UserError(f"the test program of registry-gc prints:\n{output}")


def _retention(program: Path, store: str) -> list[tuple[float, float]]:
    """Return CPU seconds and MiB of retention, which takes half of few tags, and of many."""
    say(f"retention of {FEW} and of {MANY} tags on {store}")
    test = f"TestRetentionOfManyTagsGrowsAsTheyDo$/^{store}"
    output = run_test(program, test, {"RETENTION_TAGS": str(FEW)}, RUNS_S)
    runs = {int(tags): (float(cpu), float(mib)) for tags, cpu, mib in _RETENTION.findall(output)}
    if set(runs) != {FEW, MANY}:
        raise UserError(f"the test program of registry-gc prints:\n{output}")
    return [runs[FEW], runs[MANY]]


def _heads(testbed: Testbed) -> Figure:
    """Measure HEAD of a blob, which a registry that is collected looks for in its storage."""
    image = Image(testbed.folder / "image", 1, 1)
    image.renew()
    urls = {}
    for name, wiring in {
        "remembers": alone.WIRING,
        "collected": Wiring(login=False, collected=True),
    }.items():
        host, _ = alone.start(testbed, name, wiring)
        wait(host, partial(_answers, testbed, host), ANSWER_S)
        testbed.swarm.exec(
            testbed.node, crane(), "push", image.folder, f"{host}/bench/image:1", "--insecure"
        )
        urls[name] = f"http://{host}/v2/bench/image/blobs/{image.layers[0]}"
    rates: dict[str, list[float]] = {name: [] for name in urls}
    for _ in range(ROUNDS):
        for name, url in urls.items():
            rates[name].append(_heads_per_second(testbed, url))
    return Figure(
        title="HEAD of a blob, with registry:gc / without",
        ours=rates["collected"],
        peer=rates["remembers"],
        unit="/s",
        better="more",
    )


def _heads_per_second(testbed: Testbed, url: str) -> float:
    """Return the rate of one connection; wrk waits for a content after HEAD, which never comes."""
    asked = ("curl", "--silent", "--head", "--fail-early", "--fail", "--output", "/dev/null")
    start = time.monotonic()
    testbed.swarm.exec(testbed.node, *asked, f"{url}?[1-{HEADS}]", timeout=300)
    return HEADS / (time.monotonic() - start)


def _answers(testbed: Testbed, host: str) -> bool:
    asked = ("curl", "-sf", "--max-time", "5", f"http://{host}/v2/")
    return testbed.swarm.exec(testbed.node, *asked, check=False).returncode == 0
