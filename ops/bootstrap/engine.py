"""Which Docker engine is used; where this machine has none yet, one is installed and started.

`python3 -m ops.bootstrap.engine` prints its address. An engine elsewhere is only ever looked at.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.swarm import ssh
from components.swarm.endpoint import TLS_FILES, Endpoint, EndpointError, Tls, find_endpoint
from components.swarm.engine_kind import ROOTLESS, is_rootless
from ops.bootstrap.console import Problem, last_words, main, run, say, wait, write_whole

LOG = Path("/var/log/dockerd.log")
PID_FILE = Path("/var/run/docker.pid")
CONTAINERD_PID_FILE = Path("/var/run/docker/containerd/containerd.pid")
POLICY = Path("/usr/sbin/policy-rc.d")
NO_AUTOSTART = "#!/bin/sh\n# registry: while packages are installed\nexit 101\n"
SYSTEMD = Path("/run/systemd/system")

# What an engine is made of, and the package it comes from. In this order: up to Debian 12
# `docker.io` has the client too, and there is no `docker-cli` to ask for.
PARTS = (("dockerd", "docker.io"), ("docker", "docker-cli"), ("iptables", "iptables"))

PENDING_SECONDS = 30
"""How long an engine that has just been started may take to be back in its swarm."""

# Where no name server answers, the resolver's own limits (5 s, twice) make Swarm wait 20 s for
# a pull before it starts a task whose image is already there.
FAST_DNS = {"RES_OPTIONS": "timeout:1 attempts:2"}


@dataclass(frozen=True)
class Engine:
    """A manager of a swarm that answers."""

    host: str
    """What DOCKER_HOST takes: unix://, tcp:// or ssh://."""
    local: bool
    """It runs on this machine."""


def ensure() -> Engine:
    """The engine that DOCKER_HOST or the docker context names, as a swarm's manager.

    A local one is installed, started and made a swarm of one node where needed.
    """
    lead_docker()
    host = chosen_host()
    engine = Engine(host, host.startswith(("unix://", "npipe://")))
    swarm = _swarm(host)
    if swarm is None:
        _start(host)
        swarm = _swarm(host)
    if swarm and swarm.get("LocalNodeState") == "pending":
        # It has just been started, or is being made.
        with contextlib.suppress(Problem):
            wait("the swarm", lambda: _swarm_state(host) != "pending", PENDING_SECONDS)
        swarm = _swarm(host)
    _ensure_manager(engine, swarm or {})
    return engine


def chosen_host() -> str:
    """Return the address of the engine that `docker`, and the program, talk to by themselves."""
    return _chosen().host


def _chosen() -> Endpoint:
    try:
        return find_endpoint()
    except EndpointError as error:
        raise Problem(str(error)) from error


_certificates: list[tempfile.TemporaryDirectory[str]] = []
"""Folders that go when this process ends."""


def lead_docker(host: str | None = None, tls: Tls | None = None) -> None:
    """Have `docker` talk to `host`, with `tls`, as the program does; None for the chosen one."""
    if host:
        os.environ["DOCKER_HOST"] = host
        # The docker command would prefer it.
        os.environ.pop("DOCKER_CONTEXT", None)
    if not (host or chosen_host()).startswith("tcp://"):
        return
    if tls:
        folder = tempfile.TemporaryDirectory(prefix="docker-certificates-")
        _certificates.append(folder)
        for name, text in zip(TLS_FILES, (tls.ca, tls.certificate, tls.key), strict=True):
            write_whole(Path(folder.name) / name, text)
        os.environ["DOCKER_CERT_PATH"] = folder.name
    if os.environ.get("DOCKER_CERT_PATH"):
        # Without it the docker command would talk in plain text.
        os.environ["DOCKER_TLS_VERIFY"] = "1"


def docker(host: str, *words: str | Path, timeout: float = 60) -> str:
    """What the docker client prints when it talks to `host`."""
    return run([*client(host), *words], timeout=timeout)


def client(host: str) -> list[str]:
    """The docker command that talks to `host`."""
    # A context may hold TLS files that an address alone would lose, so it is left in charge.
    return ["docker"] if host == chosen_host() else ["docker", "--host", host]


def answers(host: str) -> bool:
    """Whether an engine answers. A Problem when one does and refuses."""
    return _swarm(host) is not None


def _swarm(host: str) -> dict[str, object] | None:
    """What the engine says of its swarm; None when nothing answers."""
    if not shutil.which("docker"):
        return None
    # The docker command would ask for passwords and about host keys, and say less.
    if host.startswith(ssh.SCHEME) and (reason := ssh.failure(host)):
        raise Problem(f"no Docker engine answers at {host}: {reason}")
    try:
        # `docker info` alone reports "no engine" in ways that differ between clients.
        docker(host, "version", "--format", "{{.Server.Version}}", timeout=30)
        swarm = json.loads(docker(host, "info", "--format", "{{json .Swarm}}", timeout=30))
    except Problem as problem:
        if "permission denied" in str(problem):
            raise Problem(
                f"{host}: permission denied; run this as root or join the `docker` group"
            ) from None
        if not host.startswith("unix://"):
            raise Problem(f"no Docker engine answers at {host}: {problem}") from None
        return None
    return dict(swarm)


def _swarm_state(host: str) -> object:
    return (_swarm(host) or {}).get("LocalNodeState")


def _ensure_manager(engine: Engine, swarm: dict[str, object]) -> None:
    state = swarm.get("LocalNodeState")
    if state == "active" and swarm.get("ControlAvailable"):
        return
    if state == "active":
        raise Problem(
            f"{engine.host} is a worker of its swarm; point DOCKER_HOST at one of its managers"
        )
    if state == "locked":
        raise Problem(
            f"{engine.host} is a manager whose swarm is locked (autolock). On that machine, type:\n"
            "      docker swarm unlock"
        )
    if state != "inactive":
        error = swarm.get("Error") or "no reason given"
        raise Problem(
            f"{engine.host} is in a swarm, and {state}: {error}. Nothing was changed; see"
            " `docker info`, and restart that engine"
        )
    if not engine.local:
        raise Problem(
            f"{engine.host} is not in swarm mode; "
            "run `docker swarm init` there once (nothing was changed on it)"
        )
    security = docker(engine.host, "info", "--format", "{{json .SecurityOptions}}", timeout=30)
    if is_rootless(json.loads(security) or []):
        raise Problem(f"{engine.host} {ROOTLESS}; nothing was changed")
    say("this engine is not in swarm mode: making it a swarm of one node")
    # Loopback: docker refuses to choose among several addresses, and one node needs no other.
    loopback = ["--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377"]
    docker(engine.host, "swarm", "init", *loopback)


def _start(host: str) -> None:
    """Install and start the engine of this machine, and wait until it answers."""
    if host.removeprefix("unix://") not in ("/var/run/docker.sock", "/run/docker.sock"):
        raise Problem(f"no Docker engine answers at {host}; start it or unset DOCKER_HOST")
    if platform.system() != "Linux":
        raise Problem("no Docker engine answers; start Docker Desktop and try again")
    if os.geteuid() != 0:
        raise Problem(
            "no Docker engine answers; start it (`sudo systemctl start docker`) or install it "
            "(Debian, Ubuntu: `sudo apt-get install docker.io`), or run this as root"
        )
    install()
    if SYSTEMD.is_dir():
        say("starting the Docker engine (systemctl enable --now docker)")
        run(["systemctl", "enable", "--now", "docker"], timeout=120)
        wait("the Docker engine to answer", lambda: answers(host), 60)
    else:
        with LOG.open("ab") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # Two at once would spoil each other's start.
            if _is_running():
                wait("the Docker engine to answer", lambda: answers(host), 60)
            else:
                _start_in_background(host)


def _is_running() -> bool:
    """Whether a dockerd lives. Where none does, the pid files that a crash leaves are removed.

    dockerd believes them as long as their process exists, be it one that ended uncollected.
    """
    if _lives(PID_FILE, "dockerd"):
        return True
    PID_FILE.unlink(missing_ok=True)
    # dockerd's own containerd ends a moment after it.
    with contextlib.suppress(Problem):
        wait("the last containerd to end", lambda: not _lives(CONTAINERD_PID_FILE, "containerd"), 5)
        CONTAINERD_PID_FILE.unlink(missing_ok=True)
    return False


def _lives(pid_file: Path, name: str) -> bool:
    """Whether the process lives; one that ended but wasn't collected has no command line."""
    try:
        pid = pid_file.read_text().strip()
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _start_in_background(host: str) -> None:
    """dockerd without systemd: a session of its own, its words in LOG, its pid in docker.pid."""
    say(f"starting the Docker engine in the background (log: {LOG})")
    with LOG.open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            [program("dockerd")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, **FAST_DNS, "PATH": _search_path()},
        )
    # Whatever the outcome, there is nothing more to say: an exited dockerd never answers.
    wait(
        "the Docker engine to answer",
        lambda: process.poll() is not None or answers(host),
        60,
    )
    if process.poll() is not None:
        said = LOG.read_bytes()[begin:].decode(errors="replace")
        raise Problem(f"the Docker engine did not start: {last_words(said, 1)} (all: {LOG})")


def install() -> None:
    """Have dockerd, docker and iptables on this machine; started is nothing.

    A Problem that says what to install where this can't: no root, no apt.
    """
    missing = [package for name, package in PARTS if not find(name)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Problem(
            f"the Docker engine is not complete here (missing: {', '.join(missing)}); "
            "install it (docs.docker.com/engine/install), or run this as root on Debian or Ubuntu"
        )
    apt("update")
    with no_autostart():
        for name, package in PARTS:
            if not find(name):
                apt("install", "--yes", "--no-install-recommends", package)
                program(name)


def apt(*words: str) -> None:
    """apt-get, without questions; a Problem with its last words when it fails."""
    say(f"apt-get {' '.join(words)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    if words[0] == "install":
        # An installation that was interrupted stands in the way of any other.
        run(["dpkg", "--configure", "-a"], env=quiet, timeout=900)
    run(["apt-get", "-o", "DPkg::Lock::Timeout=120", *words], env=quiet, timeout=900)


@contextlib.contextmanager
def no_autostart() -> Iterator[None]:
    """While packages are installed, their services don't start: the tests need programs only."""
    # Ours may be left of a run that was interrupted: it must not stay.
    if POLICY.exists() and POLICY.read_text() != NO_AUTOSTART:
        yield
        return
    write_whole(POLICY, NO_AUTOSTART, mode=0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def program(name: str) -> str:
    """Where a program is; a Problem when it isn't."""
    if path := find(name):
        return path
    raise Problem(f"`{name}` is not installed")


def find(name: str) -> str | None:
    """Where a program is, also of those that are for administrators."""
    return shutil.which(name, path=_search_path())


def _search_path() -> str:
    """PATH, and where administrators' programs are, which not every user's PATH has."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _print_host() -> None:
    print(ensure().host)


if __name__ == "__main__":
    main(_print_host)
