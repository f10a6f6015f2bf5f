"""Which engine is chosen, with which certificates, as settings, environment and contexts say."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.swarm.endpoint import DEFAULT_HOST, EndpointError, Tls, find_endpoint
from components.swarm.engine import Engine, connected
from ops.bootstrap import engine, environment, images
from testing.certificates import CertificatePair

from .conftest import Deploy

MATERIAL = Tls(ca="settings' ca", certificate="cert", key="key")
REMOTE = "tcp://dog:2376"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a DOCKER_CONFIG with the context `far`, whose engine is behind TLS."""
    add_context(tmp_path, "far", {"Host": REMOTE})
    add_tls(tmp_path / "contexts/tls" / digest("far") / "docker", "context's")
    return tmp_path


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def add_context(folder: Path, name: str, endpoint: dict[str, Any]) -> None:
    meta = folder / "contexts/meta" / digest(name)
    meta.mkdir(parents=True)
    text = json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}})
    (meta / "meta.json").write_text(text)


def add_tls(folder: Path, whose: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ca", "cert", "key"):
        (folder / f"{name}.pem").write_text(f"{whose} {name}")
    return folder


def use(folder: Path, name: str) -> None:
    (folder / "config.json").write_text(json.dumps({"currentContext": name}))


def test_settings_come_before_the_environment_and_that_before_the_context(folder: Path) -> None:
    use(folder, "far")
    variables = {"DOCKER_CONFIG": str(folder)}
    assert find_endpoint(None, None, variables).host == REMOTE
    variables["DOCKER_HOST"] = "ssh://cat"
    assert find_endpoint(None, None, variables).host == "ssh://cat"
    # As the docker command has it.
    variables["DOCKER_CONTEXT"] = "far"
    assert find_endpoint(None, None, variables).host == "ssh://cat"
    assert find_endpoint("unix:///x", None, variables).host == "unix:///x"


def test_without_any_it_is_the_default_socket(tmp_path: Path) -> None:
    variables = {"DOCKER_CONFIG": str(tmp_path)}
    assert find_endpoint(None, None, variables).host == DEFAULT_HOST
    assert find_endpoint(None, None, variables | {"DOCKER_CONTEXT": "default"}).host == DEFAULT_HOST


def choosing(folder: Path, context: str, *, by_variable: bool) -> dict[str, str]:
    """Return variables that choose a context, or lead to a file that does."""
    variables = {"DOCKER_CONFIG": str(folder)}
    if by_variable:
        return variables | {"DOCKER_CONTEXT": context}
    use(folder, context)
    return variables


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_contexts_certificates_are_used(folder: Path, by_variable: bool) -> None:
    endpoint = find_endpoint(None, None, choosing(folder, "far", by_variable=by_variable))
    assert endpoint.tls == Tls(ca="context's ca", certificate="context's cert", key="context's key")


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_context_that_was_removed_is_refused(tmp_path: Path, by_variable: bool) -> None:
    variables = choosing(tmp_path, "gone", by_variable=by_variable)
    with pytest.raises(EndpointError, match=r"no docker context 'gone'.*\n.*docker context use"):
        find_endpoint(None, None, variables)


def test_a_context_without_verification_or_without_a_file_is_refused(folder: Path) -> None:
    add_context(folder, "blind", {"Host": REMOTE, "SkipTLSVerify": True})
    with pytest.raises(EndpointError, match="skip-tls-verify"):
        find_endpoint(None, None, {"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "blind"})
    (folder / "contexts/tls" / digest("far") / "docker/key.pem").unlink()
    with pytest.raises(EndpointError, match=r"key\.pem can't be read \(No such file"):
        find_endpoint(None, None, {"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "far"})


@pytest.mark.parametrize(
    "variables",
    [
        {"DOCKER_CERT_PATH": "{}"},
        {"DOCKER_CERT_PATH": "{}", "DOCKER_TLS_VERIFY": "1"},
        {"DOCKER_CONFIG": "{}", "DOCKER_TLS_VERIFY": "1"},
    ],
)
def test_certificates_of_the_environment_always_verify(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    add_tls(tmp_path, "folder's")
    variables = {name: value.format(tmp_path) for name, value in variables.items()}
    endpoint = find_endpoint(REMOTE, None, variables)
    assert endpoint.tls == Tls(ca="folder's ca", certificate="folder's cert", key="folder's key")
    assert find_endpoint(REMOTE, MATERIAL, variables).tls == MATERIAL, "settings come first"
    assert find_endpoint("ssh://dog", None, variables).tls is None


@pytest.mark.parametrize(
    ("host", "tls", "warned"),
    [
        ("tcp://dog:2375", None, True),
        ("tcp://10.0.0.4:2375", None, True),
        ("tcp://dog:2376", MATERIAL, False),
        ("tcp://127.0.0.1:2375", None, False),
        ("tcp://[::1]:2375", None, False),
        ("tcp://localhost:2375", None, False),
        ("ssh://dog", None, False),
        (DEFAULT_HOST, None, False),
    ],
)
def test_plain_tcp_to_another_machine_is_a_warning(
    host: str, tls: Tls | None, warned: bool
) -> None:
    assert bool(find_endpoint(host, tls, {}).warning) == warned


def test_the_provider_gets_all_of_it_and_nothing_from_the_environment(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/elsewhere")

    def program() -> None:
        Engine(host=REMOTE, tls=MATERIAL).provider("tls")
        Engine(host="ssh://dog").provider("ssh")

    made = deploy(program).of_type("docker")
    assert made["tls"]["caMaterial"] == MATERIAL.ca
    assert made["tls"]["context"] == made["tls"]["certPath"] == ""
    assert "-oBatchMode=yes" in made["ssh"]["sshOpts"]


def test_the_docker_command_is_led_with_the_same_certificates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.setenv(name, "")  # So that each is as it was afterwards.
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    engine.lead_docker(REMOTE, MATERIAL)
    assert os.environ["DOCKER_HOST"] == REMOTE
    assert "DOCKER_CONTEXT" not in os.environ
    assert os.environ["DOCKER_TLS_VERIFY"] == "1"
    key = Path(os.environ["DOCKER_CERT_PATH"]) / "key.pem"
    assert key.read_text() == MATERIAL.key
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_docker_command_verifies_where_certificates_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(add_tls(tmp_path / "files", "x")))
    monkeypatch.setenv("DOCKER_HOST", "ssh://dog")
    engine.lead_docker()
    assert os.environ.get("DOCKER_TLS_VERIFY") == "", "which docker takes for TLS over a socket"
    monkeypatch.setenv("DOCKER_HOST", "tcp://dog:2376")
    engine.lead_docker()
    assert os.environ.get("DOCKER_TLS_VERIFY", "").isdigit()


def test_a_context_stays_in_charge_of_the_machine_that_is_prepared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "ensure", lambda: REMOTE)
    monkeypatch.setattr(images, "ensure", lambda _: None)
    environment.prepare_machine()
    assert "DOCKER_HOST" not in os.environ


@contextlib.contextmanager
def server(folder: Path, pair: CertificatePair, client: CertificatePair | None) -> Iterator[str]:
    """Yield an engine behind TLS that hangs up after the handshake."""
    (folder / "server.pem").write_text(pair.chain + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    if client:
        context.load_verify_locations(cadata=client.chain)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)

        def serve() -> None:
            with contextlib.suppress(OSError):
                near, _ = listening.accept()
                near.settimeout(60)
                with context.wrap_socket(near, server_side=True) as secured:
                    secured.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(60)


OURS, EXPIRED = CertificatePair.make("client"), CertificatePair.make(address="127.0.0.1", days=-0.5)
SERVER, OTHER = CertificatePair.make(address="127.0.0.1"), CertificatePair.make(address="127.0.0.2")


@pytest.mark.parametrize(
    ("pair", "signer", "client", "reason"),
    [
        (SERVER, OTHER, OURS, "isn't trusted. The authority .* in /certificates"),
        (EXPIRED, EXPIRED, OURS, "has expired: renew it"),
        (OTHER, OTHER, OURS, "isn't for that name"),
        (SERVER, SERVER, SERVER, "doesn't accept our certificate"),
    ],
)
def test_each_failure_of_tls_is_one_line(
    tmp_path: Path,
    pair: CertificatePair,
    signer: CertificatePair,
    client: CertificatePair,
    reason: str,
) -> None:
    tls = Tls(ca=signer.chain, certificate=OURS.chain, key=OURS.key)
    with (
        server(tmp_path, pair, client) as host,
        pytest.raises(pulumi.RunError, match=reason) as refused,
        connected(Engine(host=host, tls=tls, tls_source="/certificates")),
    ):
        pass
    assert "\n" not in str(refused.value)
