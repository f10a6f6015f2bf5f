"""A real swarm on one machine, beside the machine's own engine and out of its sight.

A node is a network, mount, UTS and PID namespace with a dockerd of its own; the nodes' network is
a bridge in one more namespace, so the host gets no interface, address, port or firewall rule.
`python3 -m testing.testswarm [image.tar …]` keeps a swarm up until Ctrl-C.

Needs root, Linux and the programs that `ops.bootstrap.engine.install` brings.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any

from ops.bootstrap import engine
from ops.bootstrap.console import Problem, main, run, say, wait

SUBNET = "198.18.0"  # Set aside for tests; Docker's default address pools are elsewhere.
MIRROR_PORT = 5000
"""Outside, where the nodes look for Docker Hub's images first; mostly nobody answers there."""
SOON_S = 60
"""How long may take what takes some seconds where nothing else runs."""
READY_S = 120
"""How long an engine may take to answer, and then to be ready in the swarm."""
STOPPED_S = 30
"""How long an orderly shutdown of a node may take."""
ENDED_S = 180
"""How long a process that was killed may take to be gone: it ends when the disk has answered it."""
STATE_PREFIX = "testswarm-"

# Becomes process 1 of the node's PID namespace: with it goes every process of the node.
INIT = """
set -e
hostname "$1"; node=$2
mount --bind "$node/run" /run
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$node/etc,workdir=$node/work" /etc
mount --bind "$node/hosts" /etc/hosts
unset DOCKER_HOST DOCKER_CONTEXT
exec docker-init -- dockerd --config-file "$node/daemon.json"
"""


@dataclass
class Node:
    """One machine of the swarm."""

    name: str
    """Its host name: node1, node2, …"""
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
        """What DOCKER_HOST takes, from anywhere on this machine."""
        return f"unix://{self.dir}/run/docker.sock"

    @property
    def log(self) -> str:
        """What its dockerd has said so far."""
        return (self.dir / "dockerd.log").read_text(errors="replace")

    @property
    def init(self) -> int:
        """Process id, on the host, of the node's process 1. A Problem while the node is down."""
        if self.process is None:
            raise Problem(f"{self.name} is down")
        if children := _children(self.process.pid):
            return children[0]
        raise Problem(f"{self.name} has ended; see {self.dir}/dockerd.log")


@dataclass(frozen=True)
class ClientHost:
    """A machine in the nodes' network that isn't one of them: where clients are."""

    ip: str
    hosts: Path
    """Its /etc/hosts."""
    netns: str


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
        engine.install()
        if os.geteuid() != 0:
            raise Problem("a test swarm makes network namespaces: run the system tests as root")
        remove_abandoned()
        if threading.current_thread() is threading.main_thread():
            self._old_sigterm = signal.signal(signal.SIGTERM, _interrupt)
        try:
            self._make_state()
            self._make_network()
            for node in self.nodes:
                self._launch(node)
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
                self._end(node)
            if self.dir.name:
                _remove(self.prefix, self.dir)
            self.nodes, self.dir = [], Path()
            if self._lock:
                self._lock.close()
                self._lock = None
        if self._old_sigterm is not None:
            signal.signal(signal.SIGTERM, self._old_sigterm)
            self._old_sigterm = None

    # Using it

    def docker(self, node: Node, *words: str | Path, timeout: float = 60) -> str:
        """What the docker client prints, without the last newline. A Problem when it fails."""
        return run(["docker", "--host", node.host, *words], timeout=timeout).rstrip("\n")

    def exec(
        self,
        node: Node | ClientHost,
        *words: str | Path,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this machine on a node: its localhost, /etc/hosts, /run and docker.

        Outside it has this machine's files but for /etc/hosts. `env` comes on top of ours.

        With `check`, a Problem with its last words when it fails; always one after `timeout` s.
        """
        where = node.name if isinstance(node, Node) else "outside"
        try:
            done = subprocess.run(
                _entering(node, *words), input=stdin or "", capture_output=True, text=True,
                errors="replace", timeout=timeout, check=False,
                env=_clean_environment() | dict(env or {}),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Problem(f"{where}: `{words[0]}` did not end within {timeout:g} s") from None
        if check and done.returncode != 0:
            said = (done.stderr or done.stdout).strip()[-2000:]
            raise Problem(f"{where}: `{words[0]}` exited with {done.returncode}: {said}")
        return done

    def spawn(
        self, node: Node | ClientHost, *words: str | Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program as `exec` does, and leave it running; on a node it ends with that."""
        with log.open("ab") as output:
            return subprocess.Popen(
                _entering(node, *words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for us; we end it in order.
                env=_clean_environment(),
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

        _all(each, [node for node in self.nodes if node.process])

    def kill(self, node: Node) -> None:
        """The power goes: every process of the node dies at once, containers too. Data stays."""
        self._end(node)

    def stop(self, node: Node) -> None:
        """An orderly shutdown: dockerd stops its containers and says goodbye first. Data stays."""
        with contextlib.suppress(Problem):
            os.kill(node.init, signal.SIGTERM)  # docker-init passes it on to dockerd.
            if node.process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    node.process.wait(STOPPED_S)
        self._end(node)

    def start(self, node: Node) -> None:
        """Bring a node that was killed or stopped back, and wait until the swarm has it again."""
        if node.process:
            raise Problem(f"{node.name} is up already")
        self._launch(node)
        self._wait_for_engine(node)
        self._wait_until_ready(node)

    def cut_off(self, node: Node) -> None:
        """Pull the node's cable: it runs on, and nobody reaches it."""
        _ip(self.outside.netns, f"link set {self._port(node)} down")

    def reconnect(self, node: Node) -> None:
        """Put the cable back; doesn't wait."""
        _ip(self.outside.netns, f"link set {self._port(node)} up")

    def _port(self, node: Node) -> str:
        """The bridge's end of the node's cable."""
        return f"port{self.nodes.index(node) + 1}"

    # Making it

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
        for node in self.nodes:
            for part in ("run", "etc", "work", "data"):
                (node.dir / part).mkdir(parents=True)
            (node.dir / "hosts").write_text("\n".join(hosts) + "\n")
            # Nobody answers there: a pull that can't work fails at once, not after 20 s.
            (node.dir / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
            (node.dir / "daemon.json").write_text(json.dumps(self._daemon(node), indent=2))

    def _daemon(self, node: Node) -> dict[str, object]:
        return {
            "hosts": ["unix:///run/docker.sock"],
            "data-root": str(node.dir / "data"),
            "exec-root": "/run/docker",
            "pidfile": "/run/docker.pid",
            "insecure-registries": [*self._insecure, f"{self.outside.ip}:{MIRROR_PORT}"],
            "registry-mirrors": [f"http://{self.outside.ip}:{MIRROR_PORT}"],
            # In a container nobody answers there either; the default is a server out of reach.
            "dns": ["127.0.0.1"],
            # The nodes share the machine's cgroups, and have no systemd to ask.
            "cgroup-parent": f"/{node.netns}",
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
        }

    def _make_network(self) -> None:
        switch = self.outside.netns
        run(["ip", "netns", "add", switch])
        _ip(switch, "link set lo up")
        _ip(switch, "link add br0 type bridge")
        _ip(switch, f"addr add {self.outside.ip}/24 dev br0")
        _ip(switch, "link set br0 up")
        for node in self.nodes:
            port = self._port(node)
            run(["ip", "netns", "add", node.netns])
            _ip(switch, f"link add {port} type veth peer name eth0 netns {node.netns}")
            _ip(switch, f"link set {port} master br0 up")
            _ip(node.netns, "link set lo up")
            _ip(node.netns, f"addr add {node.ip}/24 dev eth0")
            _ip(node.netns, "link set eth0 up")

    def _launch(self, node: Node) -> None:
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
                [*spaces, "sh", "-c", INIT, "init", node.name, node.dir],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we end it in order.
                env=_clean_environment(),
            )

    def _end(self, node: Node) -> None:
        """Kill what runs on the node and wait until it is gone. Does nothing when it is down."""
        if node.process:
            inside = _below(node.process.pid)
            _kill(node.process.pid)
            try:
                node.process.wait(ENDED_S)
            except subprocess.TimeoutExpired:
                left = "\n".join(filter(None, map(_shown, inside)))
                raise Problem(f"{node.name} was killed, and this goes on:\n{left}") from None
            node.process = None
        _remove_cgroups(node.netns)

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

        _all(join, others)
        for node in self.nodes:
            node.id = self.docker(node, "info", "--format", "{{.Swarm.NodeID}}")
        self.load(*self._images)
        for node in self.nodes:
            self._wait_until_ready(node)

    def _wait_for_engine(self, node: Node) -> None:
        def ready() -> bool:
            return _ended(node) or bool(self.docker(node, "version", "-f", "{{.Server.Version}}"))

        wait(f"the engine of {node.name}", ready, READY_S)
        if _ended(node):
            raise Problem(f"{node.name} did not start: {node.log[-1500:]}")

    def _wait_until_ready(self, node: Node) -> None:
        wait(f"{node.name} to be ready in the swarm", lambda: self._is_ready(node), READY_S)

    def _is_ready(self, node: Node) -> bool:
        """Whether a manager that is up sees it ready and, for a manager, reachable."""
        witness = next(peer for peer in self.nodes[: self._managers] if peer.process)
        asked = "{{.Status.State}} {{with .ManagerStatus}}{{.Reachability}}{{end}}"
        said = self.docker(witness, "node", "inspect", node.id, "--format", asked)
        role = "reachable" if node in self.nodes[: self._managers] else ""
        return said.split() == ["ready", *role.split()]


def remove_abandoned() -> None:
    """Clean up after runs whose process was killed before it could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{STATE_PREFIX}*"):
        try:
            lock = (folder / "lock").open("r+")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # In use, or just being made.
            continue
        with lock:
            say(f"removing what an earlier run left: {folder}")
            _remove(folder.name.split("-")[1], folder)


def _entering(node: Node | ClientHost, *words: str | Path) -> list[str | Path]:
    """The command that runs `words` on a node, or outside."""
    if isinstance(node, ClientHost):
        hosts = 'mount --bind "$0" /etc/hosts && exec setpriv --pdeathsig=KILL "$@"'
        enter = ["nsenter", f"--net=/run/netns/{node.netns}", "unshare", "--mount"]
        return [*enter, "setpriv", "--pdeathsig=KILL", "sh", "-c", hosts, node.hosts, *words]
    enter = ["nsenter", f"--target={node.init}", "--net", "--mount", "--uts", "--pid"]
    # setpriv: when nsenter is killed, so is what it started.
    return [*enter, "setpriv", "--pdeathsig=KILL", *words]


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


def _shown(pid: int) -> str:
    """Return a process with its state and what it waits for; nothing when it ended."""
    try:
        folder = Path(f"/proc/{pid}")
        state = folder.joinpath("stat").read_text().rpartition(")")[2].split()[0]
        words = folder.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
        return f"{pid} {state} {folder.joinpath('wchan').read_text()} {words[:200]}"
    except OSError:
        return ""


def _kill(parent: int) -> None:
    """Kill a node by the parent of its process 1, which ends when all of the node has."""
    for pid in _children(parent) or [parent]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _remove(prefix: str, folder: Path) -> None:
    """Remove all that a run has made; what ran in it is killed."""
    wait(f"what ran in {folder} to end", lambda: not _kill_leftovers(folder), ENDED_S)
    for netns in Path("/run/netns").glob(f"{prefix}-*"):
        run(["ip", "netns", "delete", netns.name])
    _remove_cgroups(f"{prefix}-*")
    shutil.rmtree(folder)


def _kill_leftovers(folder: Path) -> bool:
    """Kill nodes of the run that nobody has a handle on; whether there were any."""
    found = False
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[0] in (b"nsenter", b"unshare") and os.fsencode(folder) in words[-2]:
                _kill(int(process.name))
                found = True
    return found


def _remove_cgroups(pattern: str) -> None:
    """Killed containers leave their cgroups, empty. Version 1 has a tree for each controller."""
    top = Path("/sys/fs/cgroup")
    for root in [*top.glob(pattern), *top.glob(f"*/{pattern}")]:
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _ip(netns: str, words: str) -> None:
    run(["ip", "-netns", netns, *words.split()])


def _ended(node: Node) -> bool:
    return node.process is None or node.process.poll() is not None


def _all(work: Callable[[Node], object], nodes: Sequence[Node]) -> None:
    """Do it on all nodes at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(max(len(nodes), 1)) as pool:
        list(pool.map(work, nodes))


def _clean_environment() -> dict[str, str]:
    """Ours, without what would lead a docker client or daemon elsewhere."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        mine.pop(proxy, None)
        mine.pop(proxy.upper(), None)
    return {**mine, "PATH": f"{mine.get('PATH', os.defpath)}:/usr/sbin:/sbin"}


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _uninterrupted() -> Any:
    """Ctrl-C and SIGTERM wait until the block is done. Signals are the main thread's alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _keep_one_up() -> None:
    begin = time.monotonic()
    with TestSwarm(images=[Path(word) for word in sys.argv[1:]]) as swarm:
        say(f"ready after {time.monotonic() - begin:.1f} s; Ctrl-C ends it")
        for node in swarm.nodes:
            print(node.name, node.ip, node.host, node.netns, flush=True)
        signal.pause()


if __name__ == "__main__":
    main(_keep_one_up)
