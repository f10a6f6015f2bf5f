"""A client of an engine: the docker SDK, with the way there that the `docker` command has.

For the program and for ops, which needs it without Pulumi's SDK.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import requests
from docker.tls import TLSConfig

from components.swarm import ssh
from components.swarm.endpoint import SETTINGS, Endpoint
from components.swarm.engine_errors import (
    EngineRefusedError,
    EngineTlsError,
    EngineUnreachableError,
)

CONNECT_SECONDS = 10
"""Time limit of one answer of an engine."""


class _Client(docker.APIClient):  # type: ignore[misc]
    """REQUESTS_CA_BUNDLE and proxies aren't for engines, and would win over what we say."""

    trust_env = property(lambda _: False, lambda *_: None)


@contextlib.contextmanager
def connected(engine: Endpoint) -> Iterator[docker.APIClient]:
    """Yield a client of the engine; `EndpointError` when it can't be reached or refuses."""
    with contextlib.ExitStack() as until_done:
        relay: ssh.Relay | None = None
        try:
            address, patience = engine.host, CONNECT_SECONDS
            if address.startswith(ssh.SCHEME):
                relay = until_done.enter_context(ssh.Relay(address))
                address, patience = f"unix://{relay.path}", ssh.ANSWER_SECONDS
            client = _Client(
                base_url=address,
                version="auto",
                timeout=patience,
                tls=until_done.enter_context(_tls(engine)),
            )
        except (docker.errors.DockerException, OSError) as error:
            if relay:
                reason = relay.failure()
                raise EngineUnreachableError(host=engine.host, reason=reason) from error
            if engine.host.startswith("tcp://") and (failure := _tls_failure(engine, str(error))):
                raise failure from error
            raise EngineUnreachableError(host=engine.host, reason=str(error)) from error
        until_done.callback(client.close)
        try:
            yield client
        except (docker.errors.DockerException, OSError) as error:
            # The way there is gone, or was never good for more than one connection.
            if relay and isinstance(error, requests.ConnectionError):
                reason = relay.failure()
                raise EngineUnreachableError(host=engine.host, reason=reason) from error
            raise EngineRefusedError(host=engine.host, reason=str(error)) from error


_WRONG_NAME = (
    "its certificate isn't for that name. Use a name that is in it, or have one made for it"
)
_TLS_FAILURES = (
    (r"WRONG_VERSION_NUMBER", "it answers without TLS. Unset {source}"),
    (r"certificate has expired", "its certificate has expired: renew it on that machine"),
    (
        # The alert is lost where the engine hangs up before our question was read.
        r"alert (unknown ca|bad certificate|certificate (required|expired|revoked|unknown))"
        r"|EOF occurred|reset by peer|Broken pipe",
        "it hangs up, mostly since it doesn't accept our certificate. Take one that its authority"
        " has signed and that hasn't expired: {source}",
    ),
    (
        r"Hostname mismatch|IP address mismatch|doesn't match",
        _WRONG_NAME,
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "its certificate isn't trusted. The authority that has signed it has to be in {source}",
    ),
    (
        r"KEY_VALUES_MISMATCH|PEM lib|NO_START_LINE|BAD_BASE64",
        "the certificate and the key of {source} aren't of one pair, or aren't PEM without a"
        " passphrase",
    ),
)


def _tls_failure(engine: Endpoint, error: str) -> EngineTlsError | None:
    """Return what is wrong with the certificates; None when it isn't they."""
    if engine.tls is None:
        if "Client sent an HTTP request to an HTTPS server" in error:
            reason = f"it asks for TLS, and no certificates are given. Set {SETTINGS}"
            return EngineTlsError(host=engine.host, reason=f"{reason}, or DOCKER_CERT_PATH")
        return None
    plain = error.replace("_", " ")
    for pattern, reason in _TLS_FAILURES:
        if re.search(pattern.replace("_", " "), plain, re.IGNORECASE):
            return EngineTlsError(
                host=engine.host,
                reason=reason.format(source=engine.tls_source),
                is_wrong_name=reason == _WRONG_NAME,
            )
    return None


@contextlib.contextmanager
def _tls(engine: Endpoint) -> Iterator[TLSConfig | bool]:
    """Yield the SDK's `tls`, whose files are this user's alone, and short-lived."""
    if engine.tls is None:
        yield False
        return
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name in ("ca", "certificate", "key"):
            files.append(Path(folder) / name)
            files[-1].touch(mode=0o600)
            files[-1].write_text(getattr(engine.tls, name))
        ca, certificate, key = map(str, files)
        yield TLSConfig(client_cert=(certificate, key), ca_cert=ca, verify=True)
