"""Many clients at once: who fails, and what memory it takes."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.artifact import Image
from bench.figures import Figure
from bench.testbed import DOMAIN, Testbed, basic, crane, docker_config
from ops.bootstrap.console import UserError

ROUNDS = 3
CLIENTS = 64
LAYERS, LAYER_MIB = 4, 8
CONNECTIONS, CONNECTED_S = 1024, 10
"""Of one load that asks for a manifest again and again."""
POLL_SECONDS = 0.2
"""Between two looks at the memory."""


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Measure clients that pull the same image, each into a folder of its own."""
    project = testbed.project("many")
    settings = {"stackName": "many", "domain": DOMAIN, "proxy": "stack", "network": "many"}
    project.init("bench", {f"registry:{key}": value for key, value in settings.items()})
    project.up("bench")
    login = f"admin:{project.outputs('bench')['password']}"
    testbed.answers("http://127.0.0.1/v2/", login)
    environment = {"DOCKER_CONFIG": str(docker_config(testbed.folder / "docker", {DOMAIN: login}))}
    image = Image(testbed.folder / "image", LAYERS, LAYER_MIB)
    image.renew()
    reference = f"{DOMAIN}/bench/many:1"

    def run(*args: str | Path, check: bool = True) -> int:
        return testbed.swarm.exec(
            testbed.node, crane(), *args, "--insecure", timeout=300, env=environment, check=check
        ).returncode

    run("push", image.folder, reference)

    def pull(number: int) -> int:
        folder = testbed.folder / f"pulled-{number}"
        return run("pull", "--format", "oci", reference, folder, check=False)

    containers = [testbed.container("many_registry"), testbed.container("many_proxy")]
    failures, rounds = 0, []
    for _ in range(ROUNDS):
        with Memory(testbed, containers) as memory, ThreadPoolExecutor(CLIENTS) as pool:
            failures += sum(code != 0 for code in pool.map(pull, range(CLIENTS)))
        rounds.append(memory)
        for number in range(CLIENTS):
            shutil.rmtree(testbed.folder / f"pulled-{number}", ignore_errors=True)
    yield Figure(
        title=f"{CLIENTS} clients pulling at once: failures", ours=[failures], unit="", target=0
    )
    cached = max(memory.cached for memory in rounds)
    yield Figure(
        title=f"{CLIENTS} clients pulling at once: memory of registry and Traefik at the peak",
        ours=[memory.peak for memory in rounds],
        unit="MiB",
        target=400,
        note=f"with page cache, which the kernel takes back: {cached:.0f} MiB",
    )
    proxy = testbed.container("many_proxy")
    failed, peaks = [], []
    for _ in range(ROUNDS):
        with Memory(testbed, [proxy]) as memory:
            failed.append(_connected(testbed, login, f"http://{DOMAIN}/v2/bench/many/manifests/1"))
        peaks.append(memory.peak)
    load = f"{CONNECTIONS} connections that ask for a manifest"
    yield Figure(title=f"{load}: failures", ours=failed, unit="", target=0)
    limit = testbed.stats(proxy)["memory_stats"]["limit"] / 1024**2
    note = f"its limit: {limit:.0f} MiB"
    yield Figure(
        title=f"{load}: Traefik's memory at the peak", ours=peaks, unit="MiB", target=400, note=note
    )


def _connected(testbed: Testbed, login: str, url: str) -> int:
    """Return how many requests of all those connections failed, by status or without one."""
    accept = "Accept: application/vnd.oci.image.manifest.v1+json"
    printed = testbed.load(url, basic(login), accept, connections=CONNECTIONS, seconds=CONNECTED_S)
    if not re.search(r"[1-9]\d* requests in", printed):
        raise UserError(f"wrk printed: {printed}")
    # "Socket errors: connect 0, read 0, write 0, timeout 0", "Non-2xx or 3xx responses: 0".
    errors = re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", printed)
    return sum(map(int, errors))


class Memory:
    """Looks at the containers' memory while the block runs."""

    def __init__(self, testbed: Testbed, containers: list[str]) -> None:
        self._testbed, self._containers = testbed, containers
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.peak = 0.0
        """MiB that the programs hold, of all of them together."""
        self.cached = 0.0
        """The same with the active page cache, as `docker stats` counts it."""

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(60)

    def _poll(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            used = [self._used(container) for container in self._containers]
            self.peak = max(self.peak, sum(held for held, _ in used))
            self.cached = max(self.cached, sum(cached for _, cached in used))

    def _used(self, container: str) -> tuple[float, float]:
        memory = self._testbed.stats(container)["memory_stats"]
        counted = memory["stats"]
        # The first name is that of cgroup version 1, the second of 2.
        held = counted.get("total_rss", counted.get("anon", 0))
        inactive = counted.get("total_inactive_file", counted.get("inactive_file", 0))
        return held / 1024**2, (memory["usage"] - inactive) / 1024**2
