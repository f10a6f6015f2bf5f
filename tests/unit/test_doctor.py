"""What the doctor says of a registry that doesn't store what is pushed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ops import doctor
from ops.console import Problem


@contextlib.contextmanager
def registry(begins: int = 202, takes: int = 202) -> Iterator[tuple[doctor.Told, list[str]]]:
    """A registry's front that answers so to an upload's beginning and content, and what it got."""
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
            self.answer(200 if "Authorization" in self.headers else 401)

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
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield doctor.Told(f"http://127.0.0.1:{server.server_port}", "admin", "secret"), requests
        server.shutdown()


def test_a_small_upload_is_tried_and_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    with registry() as (told, requests):
        doctor.examine(told, slow_seconds=0)
    assert "ok    an upload of 64 KiB is stored" in capsys.readouterr().out
    assert requests[-1].startswith("DELETE /v2/registry-doctor/blobs/uploads/1")


@pytest.mark.parametrize("answers", [{"begins": 500}, {"takes": 500}, {"begins": 503}])
def test_a_disk_that_is_full_or_read_only_is_noticed(
    answers: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    with registry(**answers) as (told, _), pytest.raises(Problem):
        doctor.examine(told, slow_seconds=0)
    said = capsys.readouterr().out
    (status,) = answers.values()
    assert f"wrong a small upload isn't stored ({status})" in said
    assert "make logs" in said
    assert "df -h" in said


def test_a_registry_that_is_read_only_by_its_settings_is_told_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with registry(begins=405) as (told, _):
        doctor.examine(told, slow_seconds=1)
    assert "storage.maintenance.readonly" in capsys.readouterr().out
