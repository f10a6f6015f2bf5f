"""Moves of a registry's images to other nodes and storages, while clients push and pull."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator

from bench.artifact import Image
from bench.figures import Figure
from bench.testbed import Testbed, crane, docker_config
from components.version import TOOLS_IMAGE
from ops.bootstrap.console import UserError, say
from testing.archive import small_image
from testing.load import Load
from testing.site import SwarmUnderTest
from testing.store import Store

NAME, DOMAIN, PORT = "moving", "moving.example.com", 8089
HOST = f"{DOMAIN}:{PORT}"
PROXY = f"{NAME}_proxy"
NODES = 3
GIB, LAYERS, LAYER_MIB = 5, 4, 256
"""Images of 1 GiB each, and their layers."""
PULLED = "bench/pulled:1"
"""Image of a few MiB that clients pull."""
RETRIES = 5
"""As often docker sends a layer again."""
MOVE_S, TRANSFER_S = 1800, 300
"""Time limits of the move, and of a push or a pull of one of the images, seconds."""


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Fill a registry, move it under load, and read all of it in each place."""
    project = testbed.project(NAME)
    values = {"stackName": NAME, "domain": DOMAIN, "proxy": "stack", "network": NAME}
    values |= {"proxyHttpPort": str(PORT), "toolsImage": TOOLS_IMAGE}
    project.init("bench", {f"registry:{key}": value for key, value in values.items()})
    project.up("bench")
    site = testbed.site(project)
    site.serves("bench", DOMAIN, PROXY)
    site.resolve(HOST, PROXY)
    client = Client(testbed, site)
    digests = client.fill()
    old, proxy = site.node_of(f"{NAME}_registry"), site.node_of(PROXY)
    new = next(node for node in site.swarm.nodes if node not in (old, proxy))
    yield from _moved(testbed, site, client, digests, "another node", f"NODE={new.name}")
    if site.node_of(f"{NAME}_registry") != new:
        raise UserError(f"the registry isn't on {new.name}")
    folder = testbed.folder / "store"
    folder.mkdir()
    store = Store(site.swarm, folder)
    project.configure("bench", store.settings, store.secrets)
    yield from _moved(testbed, site, client, digests, "an object store")
    project.unset("bench", "registry:config")
    project.unset("bench", "registry:storageCa")
    yield from _moved(testbed, site, client, digests, "files again")
    store.end()


def _moved(
    testbed: Testbed,
    site: SwarmUnderTest,
    client: Client,
    digests: dict[str, str],
    where: str,
    *args: str,
) -> Iterator[Figure]:
    """Move the images under load, read all of them, and yield what it took."""
    archive = small_image(testbed.folder)
    say(f"moving {GIB} GiB to {where}")
    start = time.monotonic()
    with Load(
        *(site, "bench", HOST, PROXY, archive, testbed.folder),
        pulled=PULLED,
        retries=RETRIES,
    ) as load:
        moved = site.make("move", "STACK=bench", *args, "YES=1", CHECK="no", timeout=MOVE_S)
        seconds = time.monotonic() - start
    pause = re.search(r"pushes waited for (\d+) s", moved.text)
    if moved.code != 0 or pause is None:
        raise UserError(f"make move:\n{moved.text}")
    images = client.verify(digests)
    title = f"move of {GIB} GiB to {where} under pushes and pulls"
    note = f"{load.done} operations; {images} images read there, with the digests that were pushed"
    yield Figure(
        title=f"{title}: operations that failed",
        ours=[len(load.failed)],
        unit="",
        target=0,
        note="; ".join([note, *load.failed[:3]]),
    )
    yield Figure(title=f"{title}: pushes waited for", ours=[float(pause[1])], unit="s", target=60)
    yield Figure(title=f"{title}: longest time without an answer", ours=[load.gap], unit="s")
    yield Figure(title=f"{title}: the whole command", ours=[seconds], unit="s")


class Client:
    """Clients on the node that Traefik is on."""

    def __init__(self, testbed: Testbed, site: SwarmUnderTest) -> None:
        self._testbed, self._node = testbed, site.node_of(PROXY)
        self._login = site.login("bench")
        config = docker_config(testbed.folder / "docker", {HOST: self._login})
        self._environment = {"DOCKER_CONFIG": str(config)}

    def _crane(self, *args: str) -> str:
        return self._testbed.swarm.exec(
            self._node,
            crane(),
            *args,
            "--insecure",
            timeout=TRANSFER_S,
            env=self._environment,
        ).stdout

    def fill(self) -> dict[str, str]:
        """Push the images; return the digest of each by its name."""
        pulled = Image(self._testbed.folder / "pulled", LAYERS, 8)
        image = Image(self._testbed.folder / "image", LAYERS, LAYER_MIB)
        digests = {}
        for name, source in {
            PULLED: pulled,
            **{f"bench/image:{number}": image for number in range(GIB)},
        }.items():
            digests[name] = source.renew()
            self._crane("push", str(source.folder), f"{HOST}/{name}")
        return digests

    def verify(self, digests: dict[str, str]) -> int:
        """Read all images of the registry, each of whose layers has to be whole; count them."""
        for name, digest in digests.items():
            if (served := self._crane("digest", f"{HOST}/{name}").strip()) != digest:
                raise UserError(f"{name} has the digest {served}, and was pushed with {digest}")
        names = [
            f"{repository}:{tag}"
            for repository in self._crane("catalog", HOST).split()
            for tag in self._crane("ls", f"{HOST}/{repository}").split()
        ]
        for name in names:
            folder = self._testbed.folder / "verified"
            # skopeo compares the digest of all that it reads.
            source = (
                "--src-tls-verify=false",
                "--src-creds",
                self._login,
                f"docker://{HOST}/{name}",
            )
            command = ("skopeo", "--insecure-policy", "copy", *source, f"dir:{folder}")
            self._testbed.swarm.exec(self._node, *command, timeout=TRANSFER_S)
            shutil.rmtree(folder)
        return len(names)
