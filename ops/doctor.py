"""What a client of the registry meets, seen from this machine: name, certificate, login, uploads.

`SSL_CERT_FILE` names further authorities to trust, for certificates by a private one.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from urllib.parse import urlsplit

from ops.bootstrap.console import Problem, say

TIMEOUT_SECONDS = 10
SLOW_SECONDS = 70
"""Longer than the 60 s after which a Traefik cuts off an upload that nobody told it to let pass."""
SMALL_BYTES = 64 * 1024
"""Of an upload that any disk has room for. A refusal of more might come too late to be read."""
REPOSITORY = "registry-doctor"
"""Where uploads go; they are cancelled, so nothing of them stays."""
READ_ONLY = "uploads are refused, as registry:config.storage.maintenance.readonly says"
_OUTDATED = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


@dataclass(frozen=True)
class Told:
    """What a deployment says of itself: the stack's outputs."""

    url: str
    username: str | None
    password: str | None = field(repr=False)
    ui: str | None = None
    external_https: bool = False
    """TLS ends at a proxy in front of Traefik."""

    @property
    def host(self) -> str:
        """Host name, without port."""
        return urlsplit(self.url).hostname or ""

    @property
    def secure(self) -> bool:
        """Whether it is reached over HTTPS."""
        return self.url.startswith("https:")

    @property
    def login(self) -> Mapping[str, str]:
        """Header of a request that is logged in."""
        text = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {text}"}


@dataclass(frozen=True)
class Answer:
    """What came back; a lower-case name for each header."""

    status: int
    headers: Mapping[str, str]


class Wrong(Exception):  # noqa: N818 - it is what is printed, not a kind of error
    """What a check found, and what to do about it."""


def ask(
    url: str,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: Iterator[bytes] | None = None,
) -> Answer:
    """One request, no redirect followed. `OSError` or `HTTPException` when none comes back."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request(method, path, body, dict(headers or {}), encode_chunked=bool(body))
        answer = connection.getresponse()
        answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found)
    finally:
        connection.close()


def ready(told: Told) -> bool:
    """Whether the registry refuses strangers and takes the login, and the dashboard is there."""
    try:
        # Its certificate is obtained by itself, and may come later.
        if told.secure and told.ui:
            ask(told.ui)
        if ask(f"{told.url}/v2/").status != 401:
            return False
        return not told.password or ask(f"{told.url}/v2/", told.login).status == 200
    except (OSError, http.client.HTTPException):
        return False


def examine(told: Told, slow_seconds: int = SLOW_SECONDS) -> None:
    """Prints what each check found; a Problem when something is wrong.

    The slow upload takes `slow_seconds`; with 0 it is left out.
    """
    checks: list[Callable[[Told], str]] = [_name]
    if told.secure:
        checks += [_certificate, _protocols]
        # Where HTTPS has a port of its own, that of HTTP isn't known. A proxy in front needn't
        # have plain HTTP at all.
        known = urlsplit(told.url).port is None and not told.external_https
        checks += [_redirect] if known else []
    checks += [_login]
    checks += [_small_upload] if told.password else []
    if told.secure and told.password:
        checks += [_headers]
    if told.secure and told.ui:
        checks += [_dashboard]
    print(f"{told.url}, seen from this machine")
    wrong = 0
    for check in checks:
        wrong += not _passes(check, told)
        if wrong and check in (_name, _certificate):
            break  # Whatever comes next would only say the same.
    if slow_seconds and told.password and not wrong:
        say(f"  …     an upload of {slow_seconds} s is under way")
        wrong += not _passes(lambda told: _slow_upload(told, slow_seconds), told)
    if wrong:
        raise Problem("what is marked as wrong above")


def _passes(check: Callable[[Told], str], told: Told) -> bool:
    try:
        print(f"  ok    {check(told)}", flush=True)
    except Wrong as wrong:
        print(f"  wrong {wrong}", flush=True)
        return False
    except (OSError, http.client.HTTPException) as error:
        print(f"  wrong {check.__name__.strip('_')}: {error or type(error).__name__}", flush=True)
        return False
    return True


def _name(told: Told) -> str:
    try:
        found = socket.getaddrinfo(
            told.host, urlsplit(told.url).port or 443, type=socket.SOCK_STREAM
        )
    except OSError as error:
        raise Wrong(
            f"{told.host} leads nowhere ({error.strerror or error}): make a DNS record for it"
            " that leads to the node of the proxy"
        ) from None
    addresses = ", ".join(sorted({str(entry[4][0]) for entry in found}))
    return f"{told.host} leads to {addresses}"


def _certificate(told: Told) -> str:
    context = ssl.create_default_context()
    try:
        with _connected(told, context) as connection:
            certificate = connection.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        raise Wrong(f"certificate: {error.verify_message}. {_issuer_without_trust(told)}") from None
    except OSError as error:
        raise Wrong(f"port {urlsplit(told.url).port or 443} doesn't answer: {error}") from None
    end = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    left = datetime.fromtimestamp(end, timezone.utc) - datetime.now(timezone.utc)
    parts = dict(pair[0] for pair in certificate["issuer"])  # type: ignore[misc]
    issuer = parts.get("organizationName") or parts.get("commonName")
    if left.days < 3:
        hours = left.total_seconds() / 3600
        return f"certificate by {issuer}, {hours:.0f} hours left"
    return f"certificate by {issuer}, {left.days} days left"


def _issuer_without_trust(told: Told) -> str:
    """What to say of a certificate that isn't trusted."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _connected(told, context) as connection:
        raw = connection.getpeercert(binary_form=True) or b""
    if b"TRAEFIK DEFAULT CERT" in raw:
        return "It is Traefik's own makeshift: it has obtained none for this name; its log says why"
    return "For a private authority, say SSL_CERT_FILE=root.pem"


def _connected(told: Told, context: ssl.SSLContext) -> ssl.SSLSocket:
    port = urlsplit(told.url).port or 443
    plain = socket.create_connection((told.host, port), TIMEOUT_SECONDS)
    return context.wrap_socket(plain, server_hostname=told.host)


def _protocols(told: Told) -> str:
    for version in _OUTDATED:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        # Else this machine's own OpenSSL refuses, and the server isn't asked.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        try:
            with _connected(told, context):
                raise Wrong(f"{version.name} is accepted: Traefik's tls.options say minVersion")
        except (ssl.SSLError, ConnectionError):
            continue
    return "TLS 1.2 and later only"


def _redirect(told: Told) -> str:
    answer = ask(f"http://{told.host}/v2/")
    target = answer.headers.get("location", "")
    if answer.status not in (301, 302, 307, 308) or not target.startswith("https://"):
        raise Wrong(
            f"http://{told.host} answers {answer.status} and doesn't lead to HTTPS: does the main"
            " Traefik have the middleware that registry:redirectMiddleware names?"
        )
    return f"http:// leads to https:// ({answer.status})"


def _login(told: Told) -> str:
    stranger = ask(f"{told.url}/v2/")
    if stranger.status != 401:
        nobody = ": no router of Traefik's leads to the registry, or no task of it runs"
        hint = nobody if stranger.status in (404, 503) else ""
        if stranger.status == 421:
            hint = (
                ": what is in front of Traefik sends no name in TLS (SNI), or another one than in"
                " Host; registry:trustedProxies takes its address"
            )
        raise Wrong(f"strangers get {stranger.status}, not 401{hint}")
    if not told.password:
        return "strangers are refused (401)"
    friend = ask(f"{told.url}/v2/", told.login)
    if friend.status != 200:
        raise Wrong(f"{told.username}'s login gets {friend.status}, not 200")
    return f"strangers are refused (401), {told.username} gets in (200)"


def _headers(told: Told) -> str:
    found = ask(f"{told.url}/v2/", told.login).headers
    for name in ("strict-transport-security", "x-content-type-options"):
        if name not in found:
            raise Wrong(f"the header {name} is missing")
    return "browsers are told to insist on HTTPS"


def _dashboard(told: Told) -> str:
    status = ask(told.ui or "").status
    if status != 401:
        raise Wrong(f"Traefik's dashboard answers strangers with {status}, not 401")
    return "Traefik's dashboard asks for a login (401)"


def _small_upload(told: Told) -> str:
    place = _begun_upload(told)
    if place is None:
        return READ_ONLY
    try:
        sent = ask(place, _octets(told), "PATCH", iter([b"\0" * SMALL_BYTES]))
    except (OSError, http.client.HTTPException) as error:
        raise Wrong(_not_stored(error or type(error).__name__)) from None
    _cancel_upload(told, sent.headers.get("location", place))
    if sent.status != 202:
        raise Wrong(_not_stored(sent.status))
    return f"an upload of {SMALL_BYTES // 1024} KiB is stored"


def _slow_upload(told: Told, seconds: int) -> str:
    place = _begun_upload(told)
    if place is None:
        return READ_ONLY
    start = time.monotonic()
    try:
        sent = ask(place, _octets(told), "PATCH", _dripping(seconds))
    except (OSError, http.client.HTTPException):
        raise Wrong(_cut_off(time.monotonic() - start)) from None
    _cancel_upload(told, sent.headers.get("location", place))
    if sent.status != 202:
        raise Wrong(f"{_cut_off(time.monotonic() - start)} ({sent.status})")
    return f"an upload of {seconds} s gets through"


def _begun_upload(told: Told) -> str | None:
    """Return the address of a new upload; None where a setting forbids uploads."""
    begun = ask(f"{told.url}/v2/{REPOSITORY}/blobs/uploads/", told.login, "POST")
    if begun.status == 405:
        return None
    if begun.status != 202:
        raise Wrong(_not_stored(begun.status))
    return _absolute(told, begun.headers["location"])


def _cancel_upload(told: Told, place: str) -> None:
    ask(_absolute(told, place), told.login, "DELETE")


def _absolute(told: Told, place: str) -> str:
    return place if place.startswith("http") else f"{told.url}{place}"


def _octets(told: Told) -> Mapping[str, str]:
    return {**told.login, "Content-Type": "application/octet-stream"}


def _not_stored(answer: object) -> str:
    return (
        f"a small upload isn't stored ({answer}), so every push fails. The registry's log says why"
        " (make logs STACK=…); mostly the disk of its volume is full or read-only (df -h on the"
        " node that `pulumi stack output node` names), or the object store lets it read alone"
    )


def _dripping(seconds: int) -> Iterator[bytes]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield b"\0" * 1024
        time.sleep(0.5)


def _cut_off(after: float) -> str:
    return (
        f"an upload was cut off after {after:.0f} s, as pushes of large images will be: the main"
        " Traefik needs --entrypoints.NAME.transport.respondingTimeouts.readTimeout=0s for the"
        " entry point of HTTPS (its default is 60 s, and no label can change it)"
    )
