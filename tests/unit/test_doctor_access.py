"""The doctor on logins, tokens and what strangers get."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ops.doctor import access, connection, token
from ops.doctor.checks import examine
from ops.doctor.request import Answer, CheckFailedError
from ops.outputs import StackOutputs

from .shared_doctor import DASHBOARD, URL, outputs, registry

BROWSER_HEADERS = {"strict-transport-security": "max-age=1", "x-content-type-options": "nosniff"}
Answers = Callable[[Mapping[tuple[str, bool], Answer]], None]


@contextlib.contextmanager
def token_registry(
    *, challenge: str = "", status: int = 200, granted: bool = True, content: str = ""
) -> Iterator[tuple[StackOutputs, list[str]]]:
    """Yield a registry that takes tokens, with its token server, and the requests they get.

    `challenge` and `content` stand in for the registry's challenge and the server's answer.
    """
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, content: str = "") -> None:
            self.send_response(status)
            if status == 401:
                realm = f"http://{self.headers['Host']}/auth/token"
                bearer = f'Bearer realm="{realm}",service="stack"'
                self.send_header("WWW-Authenticate", challenge or bearer)
            self.send_header("Location", "/v2/registry-doctor/blobs/uploads/1?_state=x")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        def serve(self, allowed: int) -> None:
            requests.append(f"{self.command} {self.path}")
            login = self.headers.get("Authorization", "")
            if self.path.startswith("/auth/token?"):
                scope = "push" if "push" in self.path else "none"
                self.answer(status, content or json.dumps({"token": f"token-for-{scope}"}))
            elif self.path == "/v2/":
                self.answer(200 if login.startswith("Bearer token-for-") else 401)
            else:
                self.answer(allowed if granted and login == "Bearer token-for-push" else 401)

        def do_GET(self) -> None:
            self.serve(200)

        def do_POST(self) -> None:
            self.serve(202)

        def do_PATCH(self) -> None:
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
            self.serve(202)

        def do_DELETE(self) -> None:
            self.serve(204)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield outputs(f"http://127.0.0.1:{server.server_port}", has_tokens=True), requests
        server.shutdown()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Return what sets the answers, by URL and by the presence of a login."""

    def set_answers(by_request: Mapping[tuple[str, bool], Answer]) -> None:
        def request(url: str, headers: Mapping[str, str] | None = None) -> Answer:
            return by_request[url, bool(headers)]

        for module in (access, connection, token):
            monkeypatch.setattr(module, "request", request)

    return set_answers


@pytest.mark.parametrize(
    ("status", "location", "passes"),
    [
        (308, "https://registry.example.com/v2/", True),
        (302, "http://registry.example.com/v2/", False),
        (200, "", False),
    ],
)
def test_plain_http_has_to_lead_to_https(
    answers: Answers, status: int, location: str, passes: bool
) -> None:
    answers({("http://registry.example.com/v2/", False): Answer(status, {"location": location})})
    if passes:
        assert connection.redirect(outputs()) == f"http:// leads to https:// ({status})"
    else:
        with pytest.raises(CheckFailedError, match=f"answers {status} .*redirectMiddleware"):
            connection.redirect(outputs())


@pytest.mark.parametrize(
    ("without_login", "with_login", "reason"),
    [
        (200, 200, "strangers get 200, not 401"),
        (404, 404, "no router of Traefik's leads to the registry"),
        (421, 421, "registry:trustedProxies"),
        (503, 503, "no task of it runs"),
        (401, 403, "admin's login gets 403"),
    ],
)
def test_each_wrong_answer_to_a_login_has_its_reason(
    answers: Answers, without_login: int, with_login: int, reason: str
) -> None:
    url = f"{URL}/v2/"
    answers({(url, False): Answer(without_login, {}), (url, True): Answer(with_login, {})})
    with pytest.raises(CheckFailedError, match=reason):
        access.login(outputs())
    assert not access.is_ready(outputs())


def test_a_login_that_gets_in_is_named(answers: Answers) -> None:
    url = f"{URL}/v2/"
    answers({(url, False): Answer(401, {}), (url, True): Answer(200, {})})
    assert access.login(outputs()) == "strangers are refused (401), admin gets in (200)"
    assert access.login(outputs(password=None)) == "strangers are refused (401)"
    assert access.is_ready(outputs())


def test_a_registry_that_does_not_answer_is_not_ready() -> None:
    with registry() as (target, _):
        assert access.is_ready(target)
    assert not access.is_ready(target)


def test_a_login_is_exchanged_for_tokens_that_get_in_and_store_something(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with token_registry() as (target, requests):
        assert access.is_ready(target)
        examine(target, slow_seconds=1)
    lines = capsys.readouterr().out
    assert "who has no token is sent to /auth/token (401), admin gets in with a token" in lines
    assert "ok    an upload of 64 KiB is stored" in lines
    assert "ok    an upload of 1 s gets through" in lines
    assert "GET /auth/token?service=stack&account=admin" in requests
    assert requests[-1].startswith("DELETE ")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"challenge": 'Basic realm="r"'}, "asks for a login itself"),
        ({"challenge": 'Bearer realm="https://a.b/auth/token"'}, "X-Forwarded-Proto"),
        ({"status": 401}, "login gets 401 from the token server"),
        ({"status": 404}, "no router of Traefik's leads to the token server"),
        ({"status": 429}, "too many wrong logins"),
        ({"status": 503}, "no task of the token server runs"),
        ({"status": 504}, "no task of the token server runs"),
        ({"content": "<html>"}, "gives no token"),
        ({"content": "[]"}, "gives no token"),
    ],
)
def test_each_way_to_get_no_token_has_its_reason(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], reason: str
) -> None:
    monkeypatch.setattr(token, "CHANGE_SECONDS", 0)
    with token_registry(**wrong) as (target, _):
        with pytest.raises(CheckFailedError, match=reason):
            access.login(target)
        assert not access.is_ready(target)


def test_while_a_registry_changes_to_tokens_the_end_of_that_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    challenges = ['Basic realm="r"', f'Bearer realm="{URL}/auth/token"']
    monkeypatch.setattr(
        token, "request", lambda _: Answer(401, {"www-authenticate": challenges.pop(0)})
    )
    refusal = token.refusal(replace(outputs(), has_tokens=True))
    assert refusal.headers["www-authenticate"].startswith("Bearer ")


def test_a_user_who_may_not_push_tries_no_upload(capsys: pytest.CaptureFixture[str]) -> None:
    with token_registry(granted=False) as (target, _):
        examine(target, slow_seconds=1)
    assert "ok    no upload is tried: no rule of registry:access lets admin" in (
        capsys.readouterr().out
    )


def test_of_logins_that_only_the_token_server_knows_the_challenge_is_looked_at() -> None:
    with token_registry() as (target, _):
        line = access.login(replace(target, password=None))
    assert line == "who has no token is sent to /auth/token (401)"


@pytest.mark.parametrize("missing", [None, *BROWSER_HEADERS])
def test_a_missing_header_is_named(answers: Answers, missing: str | None) -> None:
    headers = {name: value for name, value in BROWSER_HEADERS.items() if name != missing}
    answers({(f"{URL}/v2/", True): Answer(200, headers)})
    if missing:
        with pytest.raises(CheckFailedError, match=missing):
            access.headers(outputs())
    else:
        assert "insist on HTTPS" in access.headers(outputs())


def test_a_dashboard_without_a_login_is_named(answers: Answers) -> None:
    target = outputs(dashboard=DASHBOARD)
    answers({(DASHBOARD, False): Answer(401, {})})
    assert access.dashboard(target) == "Traefik's dashboard asks for a login (401)"
    answers({(DASHBOARD, False): Answer(200, {})})
    with pytest.raises(CheckFailedError, match="with 200, not 401"):
        access.dashboard(target)
