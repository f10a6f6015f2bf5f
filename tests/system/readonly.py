"""An engine that may be looked at, and not touched: only GET and HEAD get through."""

from __future__ import annotations

import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class ReadOnly:
    """`with ReadOnly(socket) as relay:` - `relay.host` is what DOCKER_HOST takes."""

    def __init__(self, target: Path) -> None:
        self.refused: list[str] = []
        """Method and path of what was asked and not passed on."""
        refused = self.refused

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                engine = http.client.HTTPConnection("docker")
                engine.sock = socket.socket(socket.AF_UNIX)
                engine.sock.connect(str(target))
                engine.request(self.command, self.path)
                answer = engine.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
                engine.close()

            def _refuse(self) -> None:
                refused.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = _pass_on  # noqa: N815 - the names that http.server asks for
            do_POST = do_PUT = do_DELETE = do_PATCH = _refuse  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"tcp://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ReadOnly:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
