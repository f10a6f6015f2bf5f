"""Engines at `ssh://…`, reached by OpenSSH itself, as the `docker` command and the provider do.

So aliases, ports, jump hosts, agents, hardware keys and known hosts are as `ssh` has them.
Needs the standard library alone: ops uses it before the virtual environment is there.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
import tempfile
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

SCHEME = "ssh://"
OPTIONS = (
    "-oBatchMode=yes",  # A question would wait for an answer that nobody gives.
    "-oConnectTimeout=10",
    "-oServerAliveInterval=10",
    "-oServerAliveCountMax=3",
)
"""Options of `ssh` beside the user's own configuration, so that it always ends."""
ANSWER_SECONDS = 30
"""Time limit of one answer, with the connection that is made for it, over jump hosts too."""
_EXIT_SECONDS = 5
"""Time limit for `ssh` to end, and to say why, once its connection is closed."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """The parts of an `ssh://` address."""

    host: str
    """Name or address, or an alias in ~/.ssh/config."""
    user: str | None = None
    """None: as ~/.ssh/config has it."""
    port: int | None = None
    """None: as ~/.ssh/config has it."""
    socket: str | None = None
    """Path of the engine's socket over there; None for the default of `docker` there."""

    @property
    def login(self) -> list[str]:
        """The arguments of `ssh` that say where to, and as whom."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*user, *port, "--", self.host]

    @property
    def command(self) -> str:
        """Command to log in there, for people."""
        port = f"-p {self.port} " if self.port else ""
        user = f"{self.user}@" if self.user else ""
        return f"ssh {port}{shlex.quote(user + self.host)}"


def parse(address: str) -> Address:
    """Return the parts of an address; `ValueError` says what is wrong with it."""
    parts = urllib.parse.urlsplit(address)
    name = parts.netloc.rpartition("@")[2]
    # `parts.hostname` is in lower case, which an alias needn't be.
    host = re.fullmatch(r"(?:\[([^]]+)\]|([^:\[\]]+))(?::\d+)?", name)
    if parts.password is not None:
        raise ValueError(f"ssh://{name} has a password in it, which ssh doesn't take: use a key")
    if parts.scheme != "ssh" or host is None or parts.query or parts.fragment:
        raise ValueError(f"{address} isn't of the form ssh://USER@HOST:PORT")
    path = parts.path if parts.path.strip("/") else None
    user = urllib.parse.unquote(parts.username) if parts.username else None
    return Address(host=host[1] or host[2], user=user, port=parts.port, socket=path)


def engine_command(address: Address) -> list[str]:
    """Return the command whose standard input and output are a connection to the engine."""
    choice = [f"--host=unix://{address.socket}"] if address.socket else []
    remote = shlex.join(["docker", *choice, "system", "dial-stdio"])
    return ["ssh", *OPTIONS, "-T", *address.login, remote]


def failure(address: str) -> str | None:
    """Return why there is no way to the engine, with what to type; None when there is one."""
    with Relay(address) as relay, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWER_SECONDS)
        client.connect(str(relay.path))
        try:
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            answered = bool(client.recv(1))
        except OSError:
            answered = False
        return None if answered else relay.failure()


class Relay:
    """A socket of this machine, each connection to which is one to the engine at `address`."""

    def __init__(self, address: str) -> None:
        self._address = parse(address)
        self._folder = tempfile.TemporaryDirectory(prefix="docker-ssh-")
        self.path = Path(self._folder.name) / "docker.sock"
        self._server = socket.socket(socket.AF_UNIX)
        self._processes: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._missing = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Relay:
        self._server.bind(str(self.path))
        self._server.listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # `close` alone wouldn't wake the thread.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(_EXIT_SECONDS)
        self._server.close()
        for process, _log in self._processes:
            _end(process)
        self._folder.cleanup()

    def _serve(self) -> None:
        command = engine_command(self._address)
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            log = Path(self._folder.name) / f"{len(self._processes)}.log"
            # The client sees the end only once this side is closed too: `failure` knows by then.
            with connection, log.open("wb") as errors:
                try:
                    # A session of its own: Ctrl-C is for us, who then end it in order.
                    process = subprocess.Popen(
                        command,
                        stdin=connection.fileno(),
                        stdout=connection.fileno(),
                        stderr=errors,
                        start_new_session=True,
                    )
                except OSError:
                    self._missing = True
                else:
                    self._processes.append((process, log))

    def failure(self) -> str:
        """Return why the last connection failed, with what to type."""
        if self._missing:
            return "there is no ssh on this machine: install OpenSSH (Debian: openssh-client)"
        if not self._processes:
            return "nothing was tried"
        process, log = self._processes[-1]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_EXIT_SECONDS)
        return explain(self._address, process.poll(), log.read_text(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_EXIT_SECONDS)


def explain(address: Address, status: int | None, errors: str) -> str:
    """Return one line: why `ssh` ended with `status` and these `errors`, and what to type.

    A `status` of None is an ssh that hasn't ended.
    """
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    for pattern, remedy in _REMEDIES:
        for line in lines:
            if re.search(pattern, line, re.IGNORECASE):
                return remedy.format(line=line, ssh=address.command, host=address.host)
    if status is None or not last:
        return (
            f"no answer within {ANSWER_SECONDS} s; see where it stops:"
            f" {address.command} -v docker version"
            if status is None
            else f"ssh ended with {status} and no word; see: {address.command} docker version"
        )
    return f"{last}; see: {address.command} docker version"


_REMEDIES = (
    (
        r"HOST IDENTIFICATION HAS CHANGED|host key for .* has changed",
        "its host key is another one than in known_hosts. If the machine was made anew, remove the"
        " old key (ssh-keygen -R {host}), then compare and accept the new one: {ssh}",
    ),
    (
        r"Host key verification failed|No .* host key is known",
        "its host key is not known here. Compare it and accept it once: {ssh} (in CI,"
        " SSH_KNOWN_HOSTS has to be its line, as ssh-keyscan prints it)",
    ),
    (
        # Of `docker` there, before that of sshd.
        r"permission denied.*(docker daemon socket|docker API)|dial unix .*permission denied",
        "that user may not use Docker's socket there. On that machine, type:"
        " sudo usermod -aG docker USER",
    ),
    (
        r"Permission denied \(|Too many authentication failures|Load key .*",
        "none of this machine's keys is accepted there ({line}). Take one there: ssh-copy-id, or"
        " load one that has a passphrase: ssh-add; then this has to work:"
        " {ssh} -oBatchMode=yes true",
    ),
    (
        r"Bad configuration option|bad configuration options|(config|/\S+) line \d+:"
        r"|Bad owner or permissions",
        "ssh refuses its configuration, {line}; mend that file, then try: {ssh} true",
    ),
    (
        r"docker: (command )?not found|docker: No such file|Unknown command: docker",
        "there is no docker command in that user's PATH there ({line}); see:"
        " {ssh} 'command -v docker'",
    ),
    (
        r"Cannot connect to the Docker daemon|failed to connect to the docker API"
        r"|dial unix .*(no such file|refused)",
        "no Docker engine answers on that machine ({line}). There, type:"
        " sudo systemctl start docker",
    ),
    (
        r"Could not resolve hostname",
        "{line}; write the name as ssh knows it, then try: {ssh} true",
    ),
)
"""Errors of `ssh`, or of `docker` behind it, and what is of use to whoever reads them."""
