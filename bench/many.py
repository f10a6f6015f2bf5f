"""Many clients at once: who fails, and what memory it takes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.artifact import Image
from bench.figures import Figure
from bench.ground import DOMAIN, Ground, crane, docker_config

ROUNDS = 3
CLIENTS = 64
LAYERS, LAYER_MIB = 4, 8
LOOK_S = 0.2
"""Between two looks at the memory."""


def measure(ground: Ground) -> Iterator[Figure]:
    """All pull the same image, each into a folder of its own."""
    project = ground.project("many")
    told = {"stackName": "many", "domain": DOMAIN, "proxy": "stack", "network": "many"}
    project.init("bench", {f"registry:{key}": value for key, value in told.items()})
    project.up("bench")
    login = f"admin:{project.outputs('bench')['password']}"
    ground.answers("http://127.0.0.1/v2/", login)
    environment = {"DOCKER_CONFIG": str(docker_config(ground.folder / "docker", {DOMAIN: login}))}
    image = Image(ground.folder / "image", LAYERS, LAYER_MIB)
    image.renew()
    reference = f"{DOMAIN}/bench/many:1"

    def run(*words: str | Path, check: bool = True) -> int:
        return ground.swarm.exec(
            ground.node, crane(), *words, "--insecure", timeout=300, env=environment, check=check
        ).returncode

    run("push", image.folder, reference)

    def pull(number: int) -> int:
        folder = ground.folder / f"pulled-{number}"
        return run("pull", "--format", "oci", reference, folder, check=False)

    containers = [ground.container("many_registry"), ground.container("many_proxy")]
    failures, rounds = 0, []
    for _ in range(ROUNDS):
        with Memory(ground, containers) as memory, ThreadPoolExecutor(CLIENTS) as pool:
            failures += sum(code != 0 for code in pool.map(pull, range(CLIENTS)))
        rounds.append(memory)
        for number in range(CLIENTS):
            shutil.rmtree(ground.folder / f"pulled-{number}", ignore_errors=True)
    yield Figure(
        what=f"{CLIENTS} clients pulling at once: failures", ours=[failures], unit="", target=0
    )
    cached = max(memory.cached for memory in rounds)
    yield Figure(
        what=f"{CLIENTS} clients pulling at once: memory of registry and Traefik at the peak",
        ours=[memory.peak for memory in rounds],
        unit="MiB",
        target=400,
        note=f"with page cache, which the kernel takes back: {cached:.0f} MiB",
    )


class Memory:
    """Looks at the containers' memory while the block runs."""

    def __init__(self, ground: Ground, containers: list[str]) -> None:
        self._ground, self._containers = ground, containers
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
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

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            used = [self._used(container) for container in self._containers]
            self.peak = max(self.peak, sum(held for held, _ in used))
            self.cached = max(self.cached, sum(cached for _, cached in used))

    def _used(self, container: str) -> tuple[float, float]:
        memory = self._ground.stats(container)["memory_stats"]
        counted = memory["stats"]
        # The first name is that of cgroup version 1, the second of 2.
        held = counted.get("total_rss", counted.get("anon", 0))
        inactive = counted.get("total_inactive_file", counted.get("inactive_file", 0))
        return held / 1024**2, (memory["usage"] - inactive) / 1024**2
