"""The data path: pushes and pulls through Traefik with a login, and without either."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.artifact import Image
from bench.figures import Figure
from bench.testbed import DOMAIN, Testbed, crane, docker_config
from components.distribution.config import (
    CONFIG_PATH,
    DATA_PATH,
    REGISTRY_IMAGE,
    ConfigOptions,
    Secrets,
    Wiring,
    document,
)
from ops.bootstrap import images
from ops.bootstrap.console import UserError, wait
from testing.certificates import CertificatePair
from testing.hub import registry_program

ROUNDS = 3
BARE_PORT = 5999
HTTPS_PORT = 8443
IMAGES = {"1 GiB in 4 layers": (4, 256), "200 layers of 1 MiB": (200, 1)}
MEMORY = "512m"
"""Limit of a registry task by default, and so of the peer's."""


@dataclass(frozen=True)
class Target:
    """A registry, and how a client gets at it."""

    host: str
    """host:port, as crane is told."""
    files: Path
    """Folder on the disk with its images."""
    containers: Mapping[str, str] = field(default_factory=dict)
    """Ids of its containers, by their purpose; empty for a process of this machine."""
    login: str = ""
    """user:password, where it asks for one."""
    insecure: bool = True


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Measure HTTP first, then the same stack over HTTPS."""
    targets = {"HTTP": _stack(testbed), "direct": _direct(testbed), "bare": _bare(testbed)}
    targets["HTTPS"] = _secure(testbed)
    clients = Clients(testbed, targets)
    for size, (count, mib) in IMAGES.items():
        image = Image(testbed.folder / f"image-{count}", count, mib)
        for _ in range(ROUNDS):
            for name in targets:
                clients.round(name, image)
        for operation in ("push", "pull"):
            for name, peer, target, against in (
                ("HTTP", "direct", 0.85, "same registry without Traefik and login"),
                ("HTTPS", "direct", 0.6, "same registry without Traefik and login"),
                ("HTTP", "bare", 0.75, "a bare process on loopback"),
            ):
                yield Figure(
                    title=f"{operation}, {size}, {name} / {against}",
                    ours=clients.speeds(name, operation),
                    peer=clients.speeds(peer, operation),
                    unit="MiB/s",
                    better="more",
                    target=target,
                    note=clients.spent(operation, name, peer),
                )
        clients.forget()
        shutil.rmtree(image.folder)


class Clients:
    """crane on the node, and what it took."""

    def __init__(self, testbed: Testbed, targets: dict[str, Target]) -> None:
        self._testbed, self._targets = testbed, targets
        self._speeds: dict[tuple[str, str], list[float]] = {}
        self._cpu: dict[tuple[str, str], str] = {}
        logins = {target.host: target.login for target in targets.values() if target.login}
        self._config = docker_config(testbed.folder / "docker", logins)

    def forget(self) -> None:
        self._speeds.clear()
        self._cpu.clear()

    def speeds(self, name: str, operation: str) -> list[float]:
        """Return the MiB a second of each round."""
        return self._speeds[name, operation]

    def round(self, name: str, image: Image) -> None:
        """Push an image that is new to it and pull it once; remove all of it."""
        target, digest = self._targets[name], image.renew()
        reference = f"{target.host}/bench/image:1"
        folder = self._testbed.folder / "pulled"
        self._timed(name, "push", image.mib, target, ["push", image.folder, reference])
        pull: list[str | Path] = ["pull", "--format", "oci", reference, folder]
        self._timed(name, "pull", image.mib, target, pull)
        index = json.loads((folder / "index.json").read_text())
        if index["manifests"][0]["digest"] != digest:
            raise UserError(f"{name}: what came back isn't what was pushed")
        shutil.rmtree(folder)
        for part in ("blobs", "repositories"):
            shutil.rmtree(target.files / "docker/registry/v2" / part)

    def _timed(
        self, name: str, operation: str, mib: int, target: Target, args: list[str | Path]
    ) -> None:
        flags = ["--insecure"] if target.insecure else []
        environment = {
            "DOCKER_CONFIG": str(self._config),
            "SSL_CERT_FILE": str(_root(self._testbed)),
        }
        before = self._busy(target)
        start = time.monotonic()
        self._testbed.swarm.exec(
            self._testbed.node, crane(), *args, *flags, timeout=300, env=environment
        )
        seconds = time.monotonic() - start
        self._speeds.setdefault((name, operation), []).append(mib / seconds)
        after = self._busy(target)
        if before:
            parts = [f"{part} {after[part] - before[part]:.1f} s" for part in before]
            self._cpu[name, operation] = f"CPU in {seconds:.1f} s of {name}: {', '.join(parts)}"

    def _busy(self, target: Target) -> dict[str, float]:
        """Return the CPU seconds that its containers have used."""
        return {
            part: self._testbed.stats(container)["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
            for part, container in target.containers.items()
        }

    def spent(self, operation: str, *names: str) -> str:
        """Return the CPU time of the last round, of those that run in containers."""
        return "; ".join(
            self._cpu[name, operation] for name in names if (name, operation) in self._cpu
        )


def _containers(testbed: Testbed, stack: str) -> dict[str, str]:
    parts = {"Traefik": "proxy", "registry": "registry"}
    return {part: testbed.container(f"{stack}_{service}") for part, service in parts.items()}


def _stack(testbed: Testbed) -> Target:
    project = testbed.project("data")
    settings = {"stackName": "data", "domain": DOMAIN, "proxy": "stack", "network": "data"}
    project.init("bench", {f"registry:{key}": value for key, value in settings.items()})
    project.up("bench")
    login = f"admin:{project.outputs('bench')['password']}"
    testbed.answers("http://127.0.0.1/v2/", login)
    files = testbed.volume("data_registry-data")
    return Target(DOMAIN, files, _containers(testbed, "data"), login=login)


def _root(testbed: Testbed) -> Path:
    return testbed.folder / "chain.pem"


def _secure(testbed: Testbed) -> Target:
    pair = CertificatePair.make(DOMAIN)
    _root(testbed).write_text(pair.chain)
    project = testbed.project("secure")
    settings = {
        "stackName": "secure",
        "domain": DOMAIN,
        "proxy": "stack",
        "network": "secure",
        "https": "own",
        "certificate": str(_root(testbed)),
        "proxyHttpPort": "8080",
        "proxyHttpsPort": str(HTTPS_PORT),
    }
    project.init("bench", {f"registry:{key}": value for key, value in settings.items()})
    project.set("bench", "registry:certificateKey", pair.key, "--secret")
    project.up("bench")
    login = f"admin:{project.outputs('bench')['password']}"
    host, files = f"{DOMAIN}:{HTTPS_PORT}", testbed.volume("secure_registry-data")
    asked = ("curl", "-s", "--cacert", _root(testbed), "--user", login, f"https://{host}/v2/")
    wait(host, lambda: testbed.swarm.exec(testbed.node, *asked, check=False).stdout == "{}", 30)
    return Target(host, files, _containers(testbed, "secure"), login=login, insecure=False)


def _configuration(testbed: Testbed, name: str, changes: dict[str, object]) -> Path:
    content = document(ConfigOptions(config=changes), Secrets(http="s" * 32), Wiring(login=False))
    path = testbed.folder / f"{name}.yml"
    path.write_text(json.dumps(content))
    return path


def _direct(testbed: Testbed) -> Target:
    """Run the same image with the same limit and configuration, without a login."""
    config = _configuration(testbed, "direct", {})
    command = ["run", "--detach", "--memory", MEMORY, "--env", "OTEL_TRACES_EXPORTER=none"]
    mounts = ["--volume", f"direct:{DATA_PATH}", "--volume", f"{config}:{CONFIG_PATH}:ro"]
    container = testbed.docker(*command, *mounts, REGISTRY_IMAGE)
    address = testbed.docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
    host = f"{address}:5000"
    _up(testbed, host)
    return Target(host, testbed.volume("direct"), {"registry": container})


def _bare(testbed: Testbed) -> Target:
    """Run the program alone, on the node's loopback."""
    folder = testbed.node.dir / "bare"
    (testbed.folder / "program").mkdir()
    program = registry_program(images.tarballs(), testbed.folder / "program")
    changes: dict[str, object] = {
        "http": {"addr": f"127.0.0.1:{BARE_PORT}"},
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
    }
    config = _configuration(testbed, "bare", changes)
    quiet = ("env", "OTEL_TRACES_EXPORTER=none")
    testbed.swarm.spawn(
        testbed.node, *quiet, program, "serve", config, log=testbed.folder / "bare.log"
    )
    host = f"127.0.0.1:{BARE_PORT}"
    _up(testbed, host)
    return Target(host, folder)


def _up(testbed: Testbed, host: str) -> None:
    asked = ("curl", "-sf", "--max-time", "2", f"http://{host}/v2/")
    wait(host, lambda: testbed.swarm.exec(testbed.node, *asked, check=False).returncode == 0, 30)
