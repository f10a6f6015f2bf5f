"""The engine that is deployed to, and clients of it: the docker SDK and Pulumi's provider."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pulumi
import pulumi_docker
import requests
from docker.tls import TLSConfig

from components.swarm import ssh
from components.swarm.endpoint import DEFAULT_HOST, Endpoint, EndpointError, Tls, find_endpoint
from components.swarm.pull_login import PullLogin, registry_of

__all__ = ["DEFAULT_HOST", "Engine", "Tls", "connected", "find_engine"]

CONNECT_SECONDS = 10
"""How long an engine may take for one answer."""


@dataclass(frozen=True, kw_only=True)
class Engine(Endpoint):
    """A manager's engine."""

    pull_logins: Mapping[str, PullLogin] = field(default_factory=dict, repr=False)
    """What private images are pulled with, by host of their registry."""

    def inspect_distribution(self, client: docker.APIClient, image: str) -> Mapping[str, Any]:
        """Return what an image's registry has, as the engine finds with the login for it.

        `APIError` when the registry refuses.
        """
        options: dict[str, Any] = {}
        if login := self.pull_logins.get(registry_of(image)):
            options["auth_config"] = {"username": login.username, "password": login.password}
        answer: Mapping[str, Any] = client.inspect_distribution(image, **options)
        return answer

    def provider(self, name: str) -> pulumi_docker.Provider:
        """The docker provider for this engine."""
        options: dict[str, Any] = {}
        if self.host.startswith(ssh.SCHEME):
            options["ssh_opts"] = list(ssh.OPTIONS)
        if self.tls:
            options["ca_material"] = self.tls.ca
            options["cert_material"] = self.tls.certificate
            # The provider's schema doesn't call it one.
            options["key_material"] = pulumi.Output.secret(self.tls.key)
        if self.pull_logins:
            # It sends the one for a service's image along with each change of the service, and
            # Swarm hands it to the nodes that pull. Logins of the service itself would have it made
            # anew for each new password.
            logins = [
                pulumi_docker.ProviderRegistryAuthArgs(
                    address=host, username=login.username, password=login.password
                )
                for host, login in self.pull_logins.items()
            ]
            options["registry_auth"] = pulumi.Output.secret(logins)
        # The provider reads these by itself, and prefers them to what it is told.
        for variable, option in _PROVIDER_VARIABLES.items():
            if os.environ.get(variable):
                options.setdefault(option, "")
        return pulumi_docker.Provider(name, host=self.host, **options)


_PROVIDER_VARIABLES = {
    "DOCKER_CONTEXT": "context",
    "DOCKER_CERT_PATH": "cert_path",
    "DOCKER_CA_MATERIAL": "ca_material",
    "DOCKER_CERT_MATERIAL": "cert_material",
    "DOCKER_KEY_MATERIAL": "key_material",
}


def find_engine(
    configured: str | None,
    tls: Tls | None = None,
    pull_logins: Mapping[str, PullLogin] | None = None,
) -> Engine:
    """The engine as configured, else as the `docker` command would find it."""
    try:
        found = find_endpoint(configured, tls)
    except EndpointError as error:
        raise pulumi.RunError(f"No Docker engine is chosen: {error}") from error
    return Engine(**vars(found), pull_logins=pull_logins or {})


class _Client(docker.APIClient):  # type: ignore[misc]
    """REQUESTS_CA_BUNDLE and proxies aren't for engines, and would win over what we say."""

    trust_env = property(lambda _: False, lambda *_: None)


@contextlib.contextmanager
def connected(engine: Engine) -> Iterator[docker.APIClient]:
    """A client of the engine; `RunError` when it can't be reached or refuses."""
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
                raise pulumi.RunError(
                    f"No Docker engine answers at {engine.host}: {relay.failure()}"
                ) from error
            if engine.host.startswith("tcp://") and (reason := _tls_failure(engine, str(error))):
                raise pulumi.RunError(
                    f"The Docker engine at {engine.host} can't be used: {reason}"
                ) from error
            raise pulumi.RunError(
                f"No Docker engine answers at {engine.host}: {error}\n"
                "  Start it, or name another with DOCKER_HOST or:\n"
                "      pulumi config set docker:host ssh://USER@MANAGER"
            ) from error
        until_done.callback(client.close)
        try:
            yield client
        except (docker.errors.DockerException, OSError) as error:
            # The way there is gone, or was never good for more than one connection.
            if relay and isinstance(error, requests.ConnectionError):
                reason = relay.failure()
                raise pulumi.RunError(f"{engine.host} is out of reach: {reason}") from error
            raise pulumi.RunError(f"The Docker engine at {engine.host} says: {error}") from error


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
        "its certificate isn't for that name. Use a name that is in it, or have one made for it:"
        " pulumi config set docker:host tcp://NAME:2376",
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


def _tls_failure(engine: Engine, error: str) -> str | None:
    """Return what is wrong with the certificates, and what to do; None when it isn't they."""
    if engine.tls is None:
        if "Client sent an HTTP request to an HTTPS server" in error:
            return (
                "it asks for TLS, and no certificates are given. Set docker:caMaterial,"
                " docker:certMaterial and docker:keyMaterial, or DOCKER_CERT_PATH"
            )
        return None
    plain = error.replace("_", " ")
    for pattern, reason in _TLS_FAILURES:
        if re.search(pattern.replace("_", " "), plain, re.IGNORECASE):
            return reason.format(source=engine.tls_source)
    return None


@contextlib.contextmanager
def _tls(engine: Engine) -> Iterator[TLSConfig | bool]:
    """What the SDK takes for `tls`. It wants files: this user's alone, and short-lived."""
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
