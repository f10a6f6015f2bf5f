"""Checks of the way to a registry: DNS, certificate, TLS versions, redirect to HTTPS.

`SSL_CERT_FILE` in the environment names a file with the CA of a private certificate.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import urlsplit

from ops.doctor.request import TIMEOUT_SECONDS, CheckFailedError, request
from ops.outputs import StackOutputs

_OUTDATED = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


def name(outputs: StackOutputs) -> str:
    """Check that the registry's name has an address."""
    try:
        entries = socket.getaddrinfo(outputs.host, _port(outputs), type=socket.SOCK_STREAM)
    except OSError as error:
        raise CheckFailedError(
            f"{outputs.host} leads nowhere ({error.strerror or error}): make a DNS record for it"
            " that leads to the node of the proxy"
        ) from None
    addresses = ", ".join(sorted({str(entry[4][0]) for entry in entries}))
    return f"{outputs.host} leads to {addresses}"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The certificate that a registry shows."""

    issuer: str
    begin: datetime
    end: datetime


def certificate(outputs: StackOutputs) -> str:
    """Check that the certificate is trusted and valid for the name."""
    shown = read_certificate(outputs)
    left = shown.end - datetime.now(timezone.utc)
    if left.days < 3:
        hours = left.total_seconds() / 3600
        return f"certificate by {shown.issuer}, {hours:.0f} hours left"
    return f"certificate by {shown.issuer}, {left.days} days left"


def read_certificate(outputs: StackOutputs) -> Certificate:
    """Return the certificate; `CheckFailedError` unless it is trusted and valid for the name."""
    context = ssl.create_default_context()
    try:
        with _connected(outputs, context) as connection:
            fields = connection.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        raise CheckFailedError(f"certificate: {error.verify_message}. {_remedy(outputs)}") from None
    except OSError as error:
        raise CheckFailedError(f"port {_port(outputs)} doesn't answer: {error}") from None
    parts = dict(pair[0] for pair in fields["issuer"])  # type: ignore[misc]
    return Certificate(
        issuer=str(parts.get("organizationName") or parts.get("commonName")),
        begin=_moment(fields["notBefore"]),
        end=_moment(fields["notAfter"]),
    )


def protocols(outputs: StackOutputs) -> str:
    """Check that no outdated version of TLS is accepted."""
    for version in _OUTDATED:
        context = _without_trust()
        # At its default level, this machine's OpenSSL itself refuses the version.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        try:
            with _connected(outputs, context):
                raise CheckFailedError(
                    f"{version.name} is accepted: set minVersion in Traefik's tls.options"
                )
        except (ssl.SSLError, ConnectionError):
            continue
    return "TLS 1.2 and later only"


def redirect(outputs: StackOutputs) -> str:
    """Check that plain HTTP leads to HTTPS."""
    answer = request(f"http://{outputs.host}/v2/")
    target = answer.headers.get("location", "")
    if answer.status not in (301, 302, 307, 308) or not target.startswith("https://"):
        raise CheckFailedError(
            f"http://{outputs.host} answers {answer.status} and doesn't lead to HTTPS: does the"
            " main Traefik have the middleware that registry:redirectMiddleware names?"
        )
    return f"http:// leads to https:// ({answer.status})"


def answers_http(outputs: StackOutputs) -> bool:
    """Return whether the address of plain HTTP is known, and Traefik answers there."""
    return outputs.is_https and not outputs.external_https and urlsplit(outputs.url).port is None


def _moment(text: object) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(text)), timezone.utc)


def _remedy(outputs: StackOutputs) -> str:
    try:
        with _connected(outputs, _without_trust()) as connection:
            raw = connection.getpeercert(binary_form=True) or b""
    except OSError:
        raw = b""
    if b"TRAEFIK DEFAULT CERT" in raw:
        return (
            "It is Traefik's default one: Traefik has obtained none for this name; its log says why"
        )
    return "For a private CA, add SSL_CERT_FILE=root.pem"


def _without_trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _connected(outputs: StackOutputs, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((outputs.host, _port(outputs)), TIMEOUT_SECONDS)
    return context.wrap_socket(plain, server_hostname=outputs.host)


def _port(outputs: StackOutputs) -> int:
    return urlsplit(outputs.url).port or 443
