"""What the doctor says of a registry that doesn't store what is pushed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ops import doctor
from ops.bootstrap.console import Problem


@contextlib.contextmanager
def registry(
    begins: int = 202, takes: int = 202, stranger: int = 401
) -> Iterator[tuple[doctor.Told, list[str]]]:
    """A registry's front that answers so to an upload's beginning and content, and to a stranger.

    With it comes what it was asked.
    """
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
            self.answer(200 if "Authorization" in self.headers else stranger)

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


def test_a_proxy_in_front_that_names_another_host_in_tls_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with registry(stranger=421) as (told, _), pytest.raises(Problem):
        doctor.examine(told, slow_seconds=0)
    said = capsys.readouterr().out
    assert "strangers get 421, not 401" in said
    assert "registry:trustedProxies" in said


@pytest.mark.parametrize("external", [False, True])
def test_whether_plain_http_leads_on_is_asked_where_traefik_answers_it(
    external: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def passes(check: Callable[..., str], _: doctor.Told) -> bool:
        asked.append(check.__name__)
        return True

    monkeypatch.setattr(doctor, "_passes", passes)
    told = doctor.Told("https://registry.example.com", "admin", None, external_https=external)
    doctor.examine(told, slow_seconds=0)
    assert capsys.readouterr().out.startswith("https://registry.example.com, seen")
    assert "_certificate" in asked
    assert ("_redirect" in asked) is not external
