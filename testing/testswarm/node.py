"""One machine of a test swarm: its namespaces, its processes, its files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.bootstrap.console import UserError

from .cgroups import remove_cgroups
from .limits import ENDED_S

INIT = Path(__file__).parent / "init.sh"
"""Script that process 1 of a node runs first."""


@dataclass
class Node:
    """One machine of the swarm."""

    name: str
    """Its host name, such as node1."""
    ip: str
    """Its address in the swarm's network, which only the nodes reach: see `TestSwarm.exec`."""
    dir: Path
    """Everything it keeps: data/ outlives `kill`, run/ doesn't."""
    netns: str
    """Name of its network namespace, for `ip netns`."""
    id: str = ""
    """The swarm's name for it."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    """Parent of the node's process 1, and its life line; None while the node is down."""

    @property
    def host(self) -> str:
        """Address for DOCKER_HOST, from anywhere on this machine."""
        return f"unix://{self.dir}/run/docker.sock"

    @property
    def log(self) -> str:
        """The output of its dockerd until now."""
        return (self.dir / "dockerd.log").read_text(errors="replace")

    @property
    def init(self) -> int:
        """Process id, on the host, of the node's process 1. A UserError while the node is down."""
        if self.process is None:
            raise UserError(f"{self.name} is down")
        if children := _children(self.process.pid):
            return children[0]
        raise UserError(f"{self.name} has ended; see {self.dir}/dockerd.log")


@dataclass(frozen=True)
class ClientHost:
    """A machine in the nodes' network that isn't one of them: where clients are."""

    ip: str
    hosts: Path
    """Its /etc/hosts."""
    netns: str


def write_files(node: Node, hosts: str, mirror: str, insecure: Sequence[str]) -> None:
    """Make the node's folder: what its dockerd reads, and where it keeps all it has.

    `hosts` is its /etc/hosts; `mirror`, host:port, is asked first for Docker Hub's images; the
    registries `insecure` may be talked to without verified TLS.
    """
    for part in ("run", "etc", "work", "data"):
        (node.dir / part).mkdir(parents=True)
    (node.dir / "hosts").write_text(hosts)
    # Nobody answers there: a pull that can't work fails at once, not after 20 s.
    (node.dir / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    daemon = {
        "hosts": ["unix:///run/docker.sock"],
        "data-root": str(node.dir / "data"),
        "exec-root": "/run/docker",
        "pidfile": "/run/docker.pid",
        "insecure-registries": [*insecure, mirror],
        "registry-mirrors": [f"http://{mirror}"],
        # In a container nobody answers there either; the default is a server out of reach.
        "dns": ["127.0.0.1"],
        # The nodes share the machine's cgroups, and have no systemd to ask.
        "cgroup-parent": f"/{node.netns}",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
    }
    (node.dir / "daemon.json").write_text(json.dumps(daemon, indent=2))


def launch(node: Node) -> None:
    """Start the node's processes; doesn't wait."""
    shutil.rmtree(node.dir / "run")  # Like the tmpfs that it is elsewhere, gone by a restart.
    (node.dir / "run").mkdir()
    # Not `ip netns exec`: it mounts a /sys that hides the cgroups.
    spaces = [
        "nsenter", f"--net=/run/netns/{node.netns}",
        "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
    ]  # fmt: skip
    with (node.dir / "dockerd.log").open("ab") as log:
        node.process = subprocess.Popen(
            [*spaces, "sh", INIT, node.name, node.dir],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; we end it in order.
            env=clean_environment(),
        )


def end(node: Node) -> None:
    """Kill what runs on the node and wait until it is gone. Does nothing when it is down."""
    if node.process:
        inside = _below(node.process.pid)
        kill(node.process.pid)
        try:
            node.process.wait(ENDED_S)
        except subprocess.TimeoutExpired:
            left = "\n".join(filter(None, map(_described, inside)))
            raise UserError(f"{node.name} was killed, and this goes on:\n{left}") from None
        node.process = None
    remove_cgroups(node.netns)


def has_ended(node: Node) -> bool:
    """Return whether the node is down, by itself or because it was ended."""
    return node.process is None or node.process.poll() is not None


def entering(node: Node | ClientHost, *args: str | Path) -> list[str | Path]:
    """Return the command that runs `args` on a node, or outside."""
    if isinstance(node, ClientHost):
        hosts = 'mount --bind "$0" /etc/hosts && exec setpriv --pdeathsig=KILL "$@"'
        enter = ["nsenter", f"--net=/run/netns/{node.netns}", "unshare", "--mount"]
        return [*enter, "setpriv", "--pdeathsig=KILL", "sh", "-c", hosts, node.hosts, *args]
    enter = ["nsenter", f"--target={node.init}", "--net", "--mount", "--uts", "--pid"]
    # setpriv: when nsenter is killed, so is what it started.
    return [*enter, "setpriv", "--pdeathsig=KILL", *args]


def kill(parent: int) -> None:
    """Kill a node by the parent of its process 1, which ends when all of the node has."""
    for pid in _children(parent) or [parent]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def clean_environment() -> dict[str, str]:
    """Return ours, without what would lead a docker client or daemon elsewhere."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        mine.pop(proxy, None)
        mine.pop(proxy.upper(), None)
    return {**mine, "PATH": f"{mine.get('PATH', os.defpath)}:/usr/sbin:/sbin"}


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def _below(pid: int) -> list[int]:
    """Return the ids of a process's children, and of theirs."""
    return [each for child in _children(pid) for each in (child, *_below(child))]


def _described(pid: int) -> str:
    """Return a process with its state and what it waits for; nothing when it ended."""
    try:
        folder = Path(f"/proc/{pid}")
        state = folder.joinpath("stat").read_text().rpartition(")")[2].split()[0]
        command = folder.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
        return f"{pid} {state} {folder.joinpath('wchan').read_text()} {command[:200]}"
    except OSError:
        return ""
