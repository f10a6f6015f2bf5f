"""An engine that can only be looked at: a socket that passes on GET and HEAD, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

READ_METHODS = ("GET", "HEAD")
REFUSAL = b"""HTTP/1.1 403 Forbidden\r
Content-Type: application/json\r
Content-Length: 34\r
Connection: close\r
\r
{"message":"only to be looked at"}"""


@dataclass
class ReadOnlySocket:
    """The relay while it is there."""

    host: str
    """Address for DOCKER_HOST."""
    passed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """First line of each request."""


@contextlib.contextmanager
def read_only_socket(target: Path, here: Path) -> Iterator[ReadOnlySocket]:
    """Relay requests without a body from a socket at `here` to the one at `target`."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(here))
        server.listen()
        relay = ReadOnlySocket(f"unix://{here}")

        def serve() -> None:
            # Closing the server ends `accept`, and so this thread.
            with contextlib.suppress(OSError):
                while True:
                    near, _ = server.accept()
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(str(target))
                    for work in ((_ask, near, far, relay), (_answer, far, near)):
                        threading.Thread(target=work[0], args=work[1:], daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield relay


def _ask(near: socket.socket, far: socket.socket, relay: ReadOnlySocket) -> None:
    with contextlib.suppress(OSError), near.makefile("rb") as lines:
        while first := lines.readline():
            head = [first]
            while head[-1] not in (b"\r\n", b""):
                head.append(lines.readline())
            # Without a body, what comes next is another head.
            body = any(line.lower().startswith((b"content-l", b"transfer-e")) for line in head)
            if body or first.split()[0].decode() not in READ_METHODS:
                relay.refused.append(first.decode().strip())
                near.sendall(REFUSAL)
                break
            relay.passed.append(first.decode().strip())
            far.sendall(b"".join(head))
        far.shutdown(socket.SHUT_WR)


def _answer(far: socket.socket, near: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := far.recv(65536):
            near.sendall(data)
        near.shutdown(socket.SHUT_RDWR)
