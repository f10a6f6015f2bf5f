"""Commands in a container: what an engine answers is all there, whenever it comes."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import docker
import docker.errors
import pytest
import requests

from components.swarm import container_exec
from components.swarm.container_exec import Execution, execute

from .shared_status import frames

START = "/v1.41/exec/e/start"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
"""Header of an answer that goes on until the engine hangs up."""


def in_json(status: str, content: Mapping[str, object]) -> bytes:
    """Return a whole answer."""
    body = json.dumps(content)
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close"
    return f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@contextlib.contextmanager
def engine(start: bytes | None, code: int = 0) -> Iterator[docker.APIClient]:
    """Yield a client of an engine that answers each request in one piece.

    A command ends with `code`; when it starts the answer is `start`, or there is none.
    """
    ended = threading.Event()
    answers = {
        "/v1.41/containers/c/exec": in_json("201 Created", {"Id": "e"}),
        START: start,
        "/v1.41/exec/e/json": in_json("200 OK", {"ExitCode": code}),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = answers[self.path]
            if answer is None:
                ended.wait(60)
            else:
                self.wfile.write(answer)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.41")
        try:
            yield client
        finally:
            ended.set()
            client.close()
            server.shutdown()


def test_output_that_comes_with_the_header_is_not_lost() -> None:
    with engine(STREAM + frames("a line\nanother"), code=3) as client:
        assert execute(client, "c", ["df"]) == Execution(code=3, output="a line\nanother\n")


def test_a_command_that_cant_start_is_an_error_in_the_engines_words() -> None:
    refusal = in_json("409 Conflict", {"message": "container c is not running"})
    with (
        engine(refusal) as client,
        pytest.raises(docker.errors.APIError, match="container c is not running"),
    ):
        execute(client, "c", ["df"])


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_exec, "EXEC_SECONDS", 0.1)
    with engine(None) as client, pytest.raises(requests.RequestException):
        execute(client, "c", ["df"])
