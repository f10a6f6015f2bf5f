"""A swarm of namespaces, and what can happen to its machines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any

from ops.bootstrap import daemon
from ops.bootstrap.console import UserError, run, wait

from .cleanup import STATE_PREFIX, remove, remove_abandoned
from .limits import READY_S, STOPPED_S
from .network import MIRROR_PORT, SUBNET, make_network, plug
from .node import (
    ClientHost,
    Node,
    clean_environment,
    end,
    entering,
    has_ended,
    launch,
    write_files,
)


class TestSwarm:
    """`with TestSwarm(images=…) as swarm:` – on entry ready, on exit gone without a trace.

    `nodes` machines, all managers but the last `workers`; `images` are tarballs for each of them;
    `insecure` are registries, host or host:port, that they may talk to without verified TLS.
    SIGTERM ends the block as Ctrl-C does. A run that was killed is cleaned up by the next one.
    """

    __test__ = False  # For pytest: not a test case.

    def __init__(
        self,
        nodes: int = 3,
        *,
        workers: int = 0,
        images: Iterable[Path] = (),
        insecure: Sequence[str] = (),
    ) -> None:
        if not 0 <= workers < nodes <= 200:
            raise ValueError(f"{nodes} nodes of which {workers} are workers: no manager is left")
        self._managers = nodes - workers
        self._images = tuple(images)
        self._insecure = tuple(insecure)
        self._count = nodes
        self._lock: IO[str] | None = None
        self._old_sigterm: Any = None
        self.prefix = f"ts{secrets.token_hex(3)}"
        """Part of each name that this run gives to anything outside its folder."""
        self.dir = Path()
        """The run's folder while it is up."""
        self.nodes: list[Node] = []
        """Managers first. Any manager will do to talk to."""
        self.outside = ClientHost("", Path(), "")
        """Where clients are, and the rest of the world; up as long as the swarm."""

    def __enter__(self) -> TestSwarm:
        daemon.install()
        if os.geteuid() != 0:
            raise UserError("a test swarm makes network namespaces: run the system tests as root")
        remove_abandoned()
        if threading.current_thread() is threading.main_thread():
            self._old_sigterm = signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._make_state()
            make_network(self.outside, self.nodes)
            for node in self.nodes:
                launch(node)
            self._form_swarm()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process of the run and remove its namespaces, mounts and folder. Repeatable."""
        # A second Ctrl-C must not leave half of it behind.
        with _uninterrupted():
            for node in self.nodes:
                end(node)
            if self.dir.name:
                remove(self.prefix, self.dir)
            self.nodes, self.dir = [], Path()
            if self._lock:
                self._lock.close()
                self._lock = None
        if self._old_sigterm is not None:
            signal.signal(signal.SIGTERM, self._old_sigterm)
            self._old_sigterm = None

    def docker(self, node: Node, *args: str | Path, timeout: float = 60) -> str:
        """Return what the docker client prints, without the last newline; UserError if it fails."""
        return run(["docker", "--host", node.host, *args], timeout=timeout).rstrip("\n")

    def exec(
        self,
        node: Node | ClientHost,
        *args: str | Path,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this machine on a node: its localhost, /etc/hosts, /run and docker.

        Outside it has this machine's files but for /etc/hosts. `env` comes on top of ours.

        With `check`, a UserError with its last words when it fails; always one after `timeout` s.
        """
        where = node.name if isinstance(node, Node) else "outside"
        try:
            done = subprocess.run(
                entering(node, *args), input=stdin or "", capture_output=True, text=True,
                errors="replace", timeout=timeout, check=False,
                env=clean_environment() | dict(env or {}),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise UserError(f"{where}: `{args[0]}` did not end within {timeout:g} s") from None
        if check and done.returncode != 0:
            output = (done.stderr or done.stdout).strip()[-2000:]
            raise UserError(f"{where}: `{args[0]}` exited with {done.returncode}: {output}")
        return done

    def spawn(
        self, node: Node | ClientHost, *args: str | Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program as `exec` does, and leave it running; on a node it ends with that."""
        with log.open("ab") as output:
            return subprocess.Popen(
                entering(node, *args),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for us; we end it in order.
                env=clean_environment(),
            )

    def add_host(self, name: str, ip: str) -> None:
        """Make `name` lead to `ip`, on each node, also on those that are down, and outside."""
        for path in self._hosts():
            kept = [line for line in path.read_text().splitlines() if line.split()[1] != name]
            # It is mounted, so another file can't take its place; and whoever reads it meanwhile
            # must not find it empty.
            with path.open("r+") as file:
                file.write("\n".join([*kept, f"{ip} {name}", ""]))
                file.truncate()

    def _hosts(self) -> list[Path]:
        return [*(node.dir / "hosts" for node in self.nodes), self.outside.hosts]

    def load(self, *images: Path) -> None:
        """Load image tarballs on every node that is up, side by side."""

        def each(node: Node) -> None:
            for image in images:
                self.docker(node, "load", "--input", image, timeout=300)

        _on_all(each, [node for node in self.nodes if node.process])

    def kill(self, node: Node) -> None:
        """Cut the power: all processes of the node die at once, containers too. Data stays."""
        end(node)

    def stop(self, node: Node) -> None:
        """Shut the node down in order: dockerd stops its containers and leaves. Data stays."""
        with contextlib.suppress(UserError):
            os.kill(node.init, signal.SIGTERM)  # docker-init passes it on to dockerd.
            if node.process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    node.process.wait(STOPPED_S)
        end(node)

    def start(self, node: Node) -> None:
        """Bring a node that was killed or stopped back, and wait until the swarm has it again."""
        if node.process:
            raise UserError(f"{node.name} is up already")
        launch(node)
        self._wait_for_engine(node)
        self.wait_until_ready(node)

    def cut_off(self, node: Node) -> None:
        """Pull the node's cable: it runs on, and nobody reaches it."""
        plug(self.outside, node, "down")

    def reconnect(self, node: Node) -> None:
        """Put the cable back; doesn't wait."""
        plug(self.outside, node, "up")

    def _make_state(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix=f"{STATE_PREFIX}{self.prefix}-"))
        self.nodes = [
            Node(
                name=f"node{number}",
                ip=f"{SUBNET}.{10 + number}",
                dir=self.dir / f"node{number}",
                netns=f"{self.prefix}-node{number}",
            )
            for number in range(1, self._count + 1)
        ]
        # Held for as long as this process lives: whoever gets it finds an abandoned run.
        self._lock = (self.dir / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        hosts = ["127.0.0.1 localhost", *(f"{node.ip} {node.name}" for node in self.nodes)]
        self.outside = ClientHost(f"{SUBNET}.1", self.dir / "hosts", f"{self.prefix}-switch")
        self.outside.hosts.write_text("\n".join(hosts) + "\n")
        mirror = f"{self.outside.ip}:{MIRROR_PORT}"
        for node in self.nodes:
            write_files(node, self.outside.hosts.read_text(), mirror, self._insecure)

    def _form_swarm(self) -> None:
        first, *others = self.nodes
        self._wait_for_engine(first)
        self.docker(first, "swarm", "init", "--advertise-addr", first.ip)
        tokens = {
            role: self.docker(first, "swarm", "join-token", "--quiet", role)
            for role in ("manager", "worker")
        }

        def join(node: Node) -> None:
            role = "manager" if self.nodes.index(node) < self._managers else "worker"
            self._wait_for_engine(node)
            address = ["--advertise-addr", node.ip, f"{first.ip}:2377"]
            self.docker(node, "swarm", "join", "--token", tokens[role], *address)

        _on_all(join, others)
        for node in self.nodes:
            node.id = self.docker(node, "info", "--format", "{{.Swarm.NodeID}}")
        self.load(*self._images)
        for node in self.nodes:
            self.wait_until_ready(node)

    def _wait_for_engine(self, node: Node) -> None:
        def ready() -> bool:
            return has_ended(node) or bool(
                self.docker(node, "version", "-f", "{{.Server.Version}}")
            )

        wait(f"the engine of {node.name}", ready, READY_S)
        if has_ended(node):
            raise UserError(f"{node.name} did not start: {node.log[-1500:]}")

    def wait_until_ready(self, node: Node) -> None:
        """Wait until the swarm has the node, in the role that it began with."""
        wait(f"{node.name} to be ready in the swarm", lambda: self._is_ready(node), READY_S)

    def _is_ready(self, node: Node) -> bool:
        """Return whether a running manager sees it ready and, for a manager, reachable."""
        witness = next(peer for peer in self.nodes[: self._managers] if peer.process)
        asked = "{{.Status.State}} {{with .ManagerStatus}}{{.Reachability}}{{end}}"
        state = self.docker(witness, "node", "inspect", node.id, "--format", asked)
        role = "reachable" if node in self.nodes[: self._managers] else ""
        return state.split() == ["ready", *role.split()]


def _on_all(work: Callable[[Node], object], nodes: Sequence[Node]) -> None:
    """Do it on all nodes at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(max(len(nodes), 1)) as pool:
        list(pool.map(work, nodes))


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block is done, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
