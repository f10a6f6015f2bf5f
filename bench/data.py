"""The data path: pushes and pulls through Traefik with a login, and without either."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import alone
from bench.artifact import Image
from bench.figures import Figure
from bench.testbed import ANSWER_S, DOMAIN, Testbed, crane, docker_config
from components.distribution.config import ConfigOptions
from ops.bootstrap import images
from ops.bootstrap.console import UserError, wait
from testing.certificates import CertificatePair
from testing.hub import registry_program

BARE_PORT = 5999
LARGE, MANY = "1 GiB in 4 layers", "200 layers of 1 MiB"
IMAGES = {LARGE: (4, 256, 3), MANY: (200, 1, 9)}
"""Layers, MiB of each, and rounds: short ones differ by a fifth, so that three decide nothing."""
ALONE, LOOPBACK = "same registry without Traefik and login", "a bare process on loopback"
LIMITED = f"{ALONE}, with a stack's limits of memory"


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


@dataclass(frozen=True)
class Comparison:
    """Two targets that push and pull the same images, and what the ratios must be at least."""

    name: str
    peer: str
    against: str
    """The peer, in words."""
    push: float | None = None
    """None: reported only."""
    pull: float | None = None


LOGINS = (
    Comparison("HTTP", "direct", ALONE, push=0.85, pull=0.85),
    Comparison("HTTPS", "direct", ALONE, push=0.6, pull=0.6),
    Comparison("HTTP", "bare", LOOPBACK, push=0.75, pull=0.75),
)
TOKENS = (
    Comparison("HTTP with tokens", "direct", ALONE, push=0.7, pull=0.8),
    Comparison("HTTPS with tokens", "direct", ALONE, push=0.65, pull=0.65),
    # What Traefik and tokens cost, without what a stack's limits of memory change.
    Comparison("HTTP with tokens", "limited", LIMITED),
)
COMPARISONS = {LARGE: LOGINS, MANY: (*LOGINS, *TOKENS)}
"""By image; a token replaces a login at every request, so requests show what it spares."""


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Measure stacks whose registry checks logins, and such that take tokens."""
    _make_certificate(testbed)
    tokens = {"auth": "token"}
    targets = {
        "HTTP": _stack(testbed, "data", {}, 8000),
        "direct": _alone(testbed, "direct", limited=False),
        "limited": _alone(testbed, "limited", limited=True),
        "bare": _bare(testbed),
        "HTTPS": _stack(testbed, "secure", {}, 8080, 8443),
        "HTTP with tokens": _stack(testbed, "tokens", tokens, 8001),
        "HTTPS with tokens": _stack(testbed, "securetokens", tokens, 8081, 8444),
    }
    clients = Clients(testbed, targets)
    for size, (count, mib, rounds) in IMAGES.items():
        image = Image(testbed.folder / f"image-{count}", count, mib)
        compared = {name for each in COMPARISONS[size] for name in (each.name, each.peer)}
        for _ in range(rounds):
            for name in targets:
                if name in compared:
                    clients.round(name, image)
        for operation in ("push", "pull"):
            for each in COMPARISONS[size]:
                yield Figure(
                    title=f"{operation}, {size}, {each.name} / {each.against}",
                    ours=clients.speeds(each.name, operation),
                    peer=clients.speeds(each.peer, operation),
                    unit="MiB/s",
                    better="more",
                    target=each.push if operation == "push" else each.pull,
                    note=clients.spent(operation, each.name, each.peer),
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
        self._environment = {
            "DOCKER_CONFIG": str(docker_config(testbed.folder / "docker", logins)),
            "SSL_CERT_FILE": str(_root(testbed)),
        }
        for target in targets.values():
            wait(f"{target.host} to answer", partial(self._answers, target), ANSWER_S)

    def _answers(self, target: Target) -> bool:
        # Whatever kind of login it asks for.
        return self._crane(target, "catalog", target.host).returncode == 0

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
        before = self._busy(target)
        start = time.monotonic()
        done = self._crane(target, *args)
        seconds = time.monotonic() - start
        if done.returncode != 0:
            answer = (done.stderr or done.stdout).strip().rpartition("\n")[2]
            lines = [f"{target.host}: `crane {operation}`: {answer}", *self._ended(target)]
            raise UserError("\n".join(lines))
        self._speeds.setdefault((name, operation), []).append(mib / seconds)
        after = self._busy(target)
        if before:
            parts = [f"{part} {after[part] - before[part]:.1f} s" for part in before]
            self._cpu[name, operation] = f"CPU in {seconds:.1f} s of {name}: {', '.join(parts)}"

    def _crane(self, target: Target, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """Run crane on the node, whatever comes of it."""
        flags = ["--insecure"] if target.insecure else []
        return self._testbed.swarm.exec(
            self._testbed.node,
            crane(),
            *args,
            *flags,
            timeout=300,
            env=self._environment,
            check=False,
        )

    def _ended(self, target: Target) -> Iterator[str]:
        """Yield a line for each container of it that runs no more."""
        for purpose, container in target.containers.items():
            state = self._testbed.state(container)
            if not state["Running"]:
                why = "out of memory" if state["OOMKilled"] else f"exit code {state['ExitCode']}"
                yield f"its container of {purpose} has ended: {why}"

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


def _alone(testbed: Testbed, name: str, *, limited: bool) -> Target:
    host, container = alone.start(testbed, name, limited=limited)
    return Target(host, testbed.volume(name), {"registry": container})


def _containers(testbed: Testbed, stack: str) -> dict[str, str]:
    parts = {"Traefik": "proxy", "registry": "registry"}
    return {part: testbed.container(f"{stack}_{service}") for part, service in parts.items()}


def _stack(
    testbed: Testbed,
    name: str,
    settings: Mapping[str, str],
    http: int,
    https: int | None = None,
) -> Target:
    """Deploy a stack that answers at port `http`, or over HTTPS at the other one."""
    project = testbed.project(name)
    settings = {
        **settings,
        "stackName": name,
        "domain": DOMAIN,
        "proxy": "stack",
        "network": name,
        "proxyHttpPort": str(http),
    }
    if https:
        settings |= {"https": "own", "certificate": str(_root(testbed))}
        settings |= {"proxyHttpsPort": str(https)}
    project.init("bench", {f"registry:{key}": value for key, value in settings.items()})
    if https:
        key = (testbed.folder / "key.pem").read_text()
        project.set("bench", "registry:certificateKey", key, "--secret")
    project.up("bench")
    return Target(
        f"{DOMAIN}:{https or http}",
        testbed.volume(f"{name}_registry-data"),
        _containers(testbed, name),
        login=f"admin:{project.outputs('bench')['password']}",
        insecure=not https,
    )


def _root(testbed: Testbed) -> Path:
    return testbed.folder / "chain.pem"


def _make_certificate(testbed: Testbed) -> None:
    pair = CertificatePair.make(DOMAIN)
    _root(testbed).write_text(pair.chain)
    (testbed.folder / "key.pem").write_text(pair.key)


def _bare(testbed: Testbed) -> Target:
    """Run the program alone, on the node's loopback."""
    folder = testbed.node.dir / "bare"
    (testbed.folder / "program").mkdir()
    program = registry_program(images.tarballs(), testbed.folder / "program")
    changes: dict[str, object] = {
        "http": {"addr": f"127.0.0.1:{BARE_PORT}"},
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
    }
    config = alone.write_config(testbed, "bare", ConfigOptions(config=changes))
    quiet = ("env", "OTEL_TRACES_EXPORTER=none")
    testbed.swarm.spawn(
        testbed.node, *quiet, program, "serve", config, log=testbed.folder / "bare.log"
    )
    return Target(f"127.0.0.1:{BARE_PORT}", folder)
