"""Registries and servers for the doctor to look at."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ops.outputs import StackOutputs

URL = "https://registry.example.com"
DASHBOARD = "https://traefik.example.com"


def outputs(url: str = URL, **others: Any) -> StackOutputs:
    """Return the outputs of a stack with a login."""
    return StackOutputs(url=url, **{"username": "admin", "password": "secret", **others})


@contextlib.contextmanager
def registry(
    begins: int = 202, takes: int = 202, without_login: int = 401
) -> Iterator[tuple[StackOutputs, list[str]]]:
    """Yield a registry that answers with these statuses, and the requests that it gets."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int) -> None:
            requests.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Location", "/v2/registry-doctor/blobs/uploads/1?_state=x")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.answer(200 if "Authorization" in self.headers else without_login)

        def do_POST(self) -> None:
            self.answer(begins)

        def do_PATCH(self) -> None:
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
            self.answer(takes)

        def do_DELETE(self) -> None:
            self.answer(204)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield outputs(f"http://127.0.0.1:{server.server_port}"), requests
        server.shutdown()
