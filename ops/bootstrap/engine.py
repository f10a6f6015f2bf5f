"""Which Docker engine is used; where this machine has none yet, one is installed and started.

`python3 -m ops.bootstrap.engine` prints its address. An engine elsewhere is only ever looked at.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from components.swarm import ssh
from components.swarm.endpoint import TLS_FILES, Endpoint, EndpointError, Tls, find_endpoint
from components.swarm.engine_kind import ROOTLESS, is_rootless
from components.swarm.manager import require_manager
from ops.bootstrap import daemon
from ops.bootstrap.console import UserError, main, run, say, wait, write_whole

PENDING_SECONDS = 30
"""Time limit for an engine that has just been started to be back in its swarm, seconds."""
LOCAL_SCHEMES = ("unix://", "npipe://")
"""Of engines on this machine."""


def ensure() -> str:
    """Return the address of the engine that DOCKER_HOST or the docker context names.

    It answers, and is a manager of a swarm. One of this machine is installed, started, and made a
    swarm of one node, where needed.
    """
    lead_docker()
    host = chosen_host()
    swarm = _swarm(host)
    if swarm is None:
        daemon.start(host, lambda: answers(host))
        swarm = _swarm(host)
    if swarm and swarm.get("LocalNodeState") == "pending":
        # It has just been started, or is being made.
        with contextlib.suppress(UserError):
            wait("the swarm", lambda: _swarm_state(host) != "pending", PENDING_SECONDS)
        swarm = _swarm(host)
    _ensure_manager(host, swarm or {})
    return host


def chosen_host() -> str:
    """Return the address of the engine that `docker`, and the program, talk to by themselves."""
    return _chosen().host


def _chosen() -> Endpoint:
    try:
        return find_endpoint()
    except EndpointError as error:
        raise UserError(str(error)) from error


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


def docker(host: str, *args: str | Path, timeout: float = 60) -> str:
    """Return what the docker client prints when it talks to `host`."""
    return run([*client(host), *args], timeout=timeout)


def client(host: str) -> list[str]:
    """Return the docker command that talks to `host`."""
    # A context may hold TLS files that an address alone would lose, so it is left in charge.
    return ["docker"] if host == chosen_host() else ["docker", "--host", host]


def answers(host: str) -> bool:
    """Return whether an engine answers; raise UserError when one does and refuses."""
    return _swarm(host) is not None


def _swarm(host: str) -> dict[str, object] | None:
    """Return what the engine says of its swarm; None when nothing answers."""
    if not shutil.which("docker"):
        return None
    # The docker command would ask for passwords and about host keys, and say less.
    if host.startswith(ssh.SCHEME) and (reason := ssh.failure(host)):
        raise UserError(f"no Docker engine answers at {host}: {reason}")
    try:
        # `docker info` alone reports "no engine" in ways that differ between clients.
        docker(host, "version", "--format", "{{.Server.Version}}", timeout=30)
        swarm = json.loads(docker(host, "info", "--format", "{{json .Swarm}}", timeout=30))
    except UserError as problem:
        if "permission denied" in str(problem):
            raise UserError(
                f"{host}: permission denied; run this as root or join the `docker` group"
            ) from None
        if not host.startswith("unix://"):
            raise UserError(f"no Docker engine answers at {host}: {problem}") from None
        return None
    return dict(swarm)


def _swarm_state(host: str) -> object:
    return (_swarm(host) or {}).get("LocalNodeState")


def _ensure_manager(host: str, swarm: Mapping[str, object]) -> None:
    """Make a swarm of a local engine that is in none; a UserError where it can't be deployed to."""
    if not (host.startswith(LOCAL_SCHEMES) and swarm.get("LocalNodeState") == "inactive"):
        try:
            return require_manager(host, swarm)
        except EndpointError as error:
            raise UserError(f"{error}\nNothing was changed") from None
    security = docker(host, "info", "--format", "{{json .SecurityOptions}}", timeout=30)
    if is_rootless(json.loads(security) or []):
        raise UserError(f"{host} {ROOTLESS}; nothing was changed")
    say("this engine is not in swarm mode: making it a swarm of one node")
    # Loopback: docker refuses to choose among several addresses, and one node needs no other.
    loopback = ["--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377"]
    docker(host, "swarm", "init", *loopback)
    return None


def _print_host() -> None:
    print(ensure())


if __name__ == "__main__":
    main(_print_host)
