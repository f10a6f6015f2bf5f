"""What looking after the storage costs: garbage collections, and a registry made ready for them."""

from __future__ import annotations

import os
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
from ops.bootstrap.console import UserError, run, say, wait
from ops.bootstrap.go import BUILD_SECONDS, go_env
from ops.bootstrap.image_build import IMAGES
from testing.tools import tool

FEW, MANY = 1_000, 10_000
"""Tags of a registry."""
STORES = {"files": "files", "s3": "S3"}
"""Names in the report, by those in the test program."""
COLLECTION_S = 600
"""Time limit for filling a registry and for its collections, seconds."""
TARGET_GROWTH = 1.2
"""Growth beyond linear that is let pass: of the times, a hundredth of a second is the unit."""
MEMORY_MIB = 256
"""Limit of the task that collects, by default."""
ROUNDS, HEADS = 3, 10_000
_RUN = re.compile(r"(\d+) tags, \[(.*?)\]: ([\d.]+) s of CPU, (\d+) MiB")
"""A collection, as the test program logs it: tags, flags, CPU, memory at the peak."""


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Measure collections of few and of many tags, and requests that the cache would answer."""
    program = testbed.folder / "gc.test"
    compile_tests: list[str | Path] = ["go", "test", "-c", "-o", program, "./tools/gc"]
    run(compile_tests, cwd=IMAGES, env=go_env(), timeout=BUILD_SECONDS)
    for store, name in STORES.items():
        (few_s, _), (many_s, memory) = (_collection(program, store, tags) for tags in (FEW, MANY))
        yield Figure(
            title=f"collection of {MANY} tags on {name} / {MANY // FEW} times one of {FEW}, CPU",
            ours=[many_s],
            peer=[few_s * MANY / FEW],
            unit="s",
            target=TARGET_GROWTH,
        )
        yield Figure(
            title=f"collection of {MANY} tags on {name}: memory at the peak",
            ours=[memory],
            unit="MiB",
            target=MEMORY_MIB,
        )
    yield _heads(testbed)


def _collection(program: Path, store: str, tags: int) -> tuple[float, float]:
    """Return CPU seconds and MiB of a collection, of as many tags, that takes untagged ones."""
    say(f"collecting {tags} tags on {store}")
    output = run(
        [program, "-test.v", f"-test.run=^TestManyTags$/^{store}$"],
        env={**os.environ, "GC_TAGS": str(tags), "VERSITYGW": str(tool("versitygw"))},
        timeout=COLLECTION_S,
    )
    for count, flags, seconds, memory in _RUN.findall(output):
        if int(count) == tags and flags == "--untagged":
            return float(seconds), float(memory)
    raise UserError(f"the test program of registry-gc prints:\n{output}")


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
