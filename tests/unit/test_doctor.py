"""The findings of `make doctor`, check by check."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ops.bootstrap.console import UserError
from ops.doctor import access, connection
from ops.doctor.checks import CHECKS, examine
from ops.doctor.request import Answer, CheckFailedError
from ops.outputs import StackOutputs
from testing.certificates import CertificatePair

URL = "https://registry.example.com"
DASHBOARD = "https://traefik.example.com"
SERVER = CertificatePair.make(address="127.0.0.1")
SOON = CertificatePair.make(address="127.0.0.1", days=0.5)
DEFAULT = CertificatePair.make("TRAEFIK DEFAULT CERT")
BROWSER_HEADERS = {"strict-transport-security": "max-age=1", "x-content-type-options": "nosniff"}
Answers = Callable[[Mapping[tuple[str, bool], Answer]], None]


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


@contextlib.contextmanager
def tls_server(
    folder: Path, pair: CertificatePair, oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
) -> Iterator[StackOutputs]:
    """Yield the outputs of a server that hangs up after each handshake."""
    (folder / "server.pem").write_text(pair.chain + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = oldest
    context.load_cert_chain(folder / "server.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    near, _ = listening.accept()
                except OSError:
                    return
                near.settimeout(60)
                with contextlib.suppress(OSError), context.wrap_socket(near, server_side=True):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        yield outputs(f"https://127.0.0.1:{listening.getsockname()[1]}")
        # Closing alone wouldn't wake the thread.
        listening.shutdown(socket.SHUT_RDWR)


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

        for module in (access, connection):
            monkeypatch.setattr(module, "request", request)

    return set_answers


def test_a_name_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.name(outputs("https://127.0.0.1")) == "127.0.0.1 leads to 127.0.0.1"

    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(CheckFailedError, match=r"Name or service not known.*make a DNS record"):
        connection.name(outputs())


def test_a_trusted_certificate_is_shown_with_its_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pair, time_left in ((SERVER, r"29 days"), (SOON, r"1[12] hours")):
        (tmp_path / "root.pem").write_text(pair.chain)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
        with tls_server(tmp_path, pair) as target:
            line = connection.certificate(target)
        assert line.startswith("certificate by test CA, ")
        assert re.search(time_left, line)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [(SERVER, "For a private CA, add SSL_CERT_FILE"), (DEFAULT, "Traefik's default one")],
)
def test_a_certificate_without_trust_comes_with_its_remedy(
    tmp_path: Path, pair: CertificatePair, reason: str
) -> None:
    with tls_server(tmp_path, pair) as target, pytest.raises(CheckFailedError, match=reason):
        connection.certificate(target)


def test_a_port_that_nothing_listens_on_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(CheckFailedError, match=f"port {port} doesn't answer"):
        connection.certificate(outputs(f"https://127.0.0.1:{port}"))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_outdated_versions_of_tls_are_refused(tmp_path: Path) -> None:
    with tls_server(tmp_path, SERVER) as target:
        assert connection.protocols(target) == "TLS 1.2 and later only"
    with (
        tls_server(tmp_path, SERVER, ssl.TLSVersion.TLSv1) as target,
        pytest.raises(CheckFailedError, match="TLSv1 is accepted"),
    ):
        connection.protocols(target)


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
        ({"content": "<html>"}, "gives no token"),
        ({"content": "[]"}, "gives no token"),
    ],
)
def test_each_way_to_get_no_token_has_its_reason(wrong: dict[str, Any], reason: str) -> None:
    with token_registry(**wrong) as (target, _):
        with pytest.raises(CheckFailedError, match=reason):
            access.login(target)
        assert not access.is_ready(target)


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


def test_a_small_upload_is_tried_and_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    with registry() as (target, requests):
        examine(target, slow_seconds=0)
    assert "ok    an upload of 64 KiB is stored" in capsys.readouterr().out
    assert requests[-1].startswith("DELETE /v2/registry-doctor/blobs/uploads/1")


def test_a_slow_upload_comes_after_all_else(capsys: pytest.CaptureFixture[str]) -> None:
    with registry() as (target, requests):
        examine(target, slow_seconds=1)
    assert "ok    an upload of 1 s gets through" in capsys.readouterr().out
    assert requests[-1].startswith("DELETE ")


@pytest.mark.parametrize("statuses", [{"begins": 500}, {"takes": 500}, {"begins": 503}])
def test_a_disk_that_is_full_or_read_only_is_noticed(
    statuses: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    with registry(**statuses) as (target, _), pytest.raises(UserError):
        examine(target, slow_seconds=1)
    output = capsys.readouterr().out
    (status,) = statuses.values()
    assert f"wrong a small upload isn't stored ({status})" in output
    assert "make logs" in output
    assert "df -h" in output
    assert "upload of 1 s" not in output


def test_a_registry_that_is_read_only_by_its_settings_passes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with registry(begins=405) as (target, _):
        examine(target, slow_seconds=1)
    assert "storage.maintenance.readonly" in capsys.readouterr().out


def test_no_check_follows_where_no_name_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(UserError, match="marked as wrong above"):
        examine(outputs())
    (_, line) = capsys.readouterr().out.splitlines()
    assert line.startswith("  wrong registry.example.com leads nowhere")


def test_an_error_that_a_check_does_not_explain_is_shown_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def request(*_: object) -> Answer:
        raise TimeoutError("timed out")

    monkeypatch.setattr(access, "request", request)
    with registry() as (target, _), pytest.raises(UserError):
        examine(target, slow_seconds=0)
    assert "  wrong login: timed out\n" in capsys.readouterr().out


HTTPS = ["name", "certificate", "TLS versions", "redirect", "login"]


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (outputs("http://registry.localhost:80", password=None), ["name", "login"]),
        (outputs("http://registry.localhost"), ["name", "login", "small upload"]),
        (outputs(password=None), HTTPS),
        (outputs(), [*HTTPS, "small upload", "headers"]),
        (outputs(dashboard=DASHBOARD), [*HTTPS, "small upload", "headers", "dashboard"]),
        # The port of plain HTTP isn't known.
        (outputs(f"{URL}:8443", password=None), [each for each in HTTPS if each != "redirect"]),
        # A proxy in front may have no plain HTTP at all.
        (
            outputs(password=None, external_https=True),
            [each for each in HTTPS if each != "redirect"],
        ),
        # The dashboard of a developer's machine asks for no login.
        (
            outputs("http://a.localhost", dashboard="http://localhost:8080"),
            ["name", "login", "small upload"],
        ),
    ],
)
def test_each_check_applies_where_the_deployment_has_what_it_checks(
    target: StackOutputs, names: list[str]
) -> None:
    assert [check.name for check in CHECKS if check.applies(target)] == names


def test_outputs_are_read_from_what_pulumi_prints() -> None:
    read = StackOutputs.read(
        {"url": URL, "username": "admin", "password": "secret", "ui": "", "https": "external"}
    )
    assert read == outputs(external_https=True)
    assert "secret" not in str(read)
    local = StackOutputs.read({"url": "http://a", "ui": "http://b", "passwords": {"ci": "secret"}})
    assert local == StackOutputs(url="http://a", dashboard="http://b", passwords={"ci": "secret"})
    assert local
    assert local.users == ("ci",)
    assert "secret" not in str(local)
    tokens = StackOutputs.read({"url": URL, "auth": "token"})
    assert tokens == StackOutputs(url=URL, has_tokens=True)
    assert StackOutputs.read({}) is None
