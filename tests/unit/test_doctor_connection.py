"""The doctor on names, certificates and plain HTTP."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.doctor import connection
from ops.doctor.request import CheckFailedError
from ops.outputs import StackOutputs
from testing.certificates import CertificatePair

from .shared_doctor import outputs

SERVER = CertificatePair.make(address="127.0.0.1")
SOON = CertificatePair.make(address="127.0.0.1", days=0.5)
DEFAULT = CertificatePair.make("TRAEFIK DEFAULT CERT")


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


def test_a_name_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.name(outputs("https://127.0.0.1")) == "127.0.0.1 leads to 127.0.0.1"

    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(CheckFailedError, match=r"Name or service not known.*make a DNS record"):
        connection.name(outputs())


def test_a_certificate_that_cant_be_looked_at_is_one_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connected(_: object, context: ssl.SSLContext) -> object:
        if context.verify_mode == ssl.CERT_NONE:
            raise ConnectionResetError("hung up")
        error = ssl.SSLCertVerificationError("no")
        error.verify_message = "self-signed certificate"
        raise error

    monkeypatch.setattr(connection, "_connected", connected)
    with pytest.raises(CheckFailedError, match="self-signed certificate"):
        connection.read_certificate(outputs())


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
