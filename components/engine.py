"""The engine that is deployed to: its address, found as the `docker` command finds it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker
import docker.errors
import pulumi
import pulumi_docker
from docker.context import ContextAPI
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

DEFAULT_HOST = "unix:///var/run/docker.sock"
CONNECT_SECONDS = 10
"""How long an engine may take for one answer."""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """What an engine behind TLS is talked to with, as PEM texts."""

    ca: str
    """Authority of the engine's certificate."""
    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A manager's engine."""

    host: str
    """unix://, tcp:// or ssh://."""
    tls: Tls | None = None
    """None: whatever `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` say."""

    def provider(self, name: str) -> pulumi_docker.Provider:
        """The docker provider for this engine."""
        if self.tls is None:
            return pulumi_docker.Provider(name, host=self.host)
        return pulumi_docker.Provider(
            name,
            host=self.host,
            ca_material=self.tls.ca,
            cert_material=self.tls.certificate,
            # The provider's schema doesn't call it one.
            key_material=pulumi.Output.secret(self.tls.key),
        )


def find_engine(configured: str | None, tls: Tls | None = None) -> Engine:
    """The engine as configured, else as the `docker` command would find it."""
    context = os.environ.get("DOCKER_CONTEXT")
    host = configured or os.environ.get("DOCKER_HOST") or _context_host(context)
    # The provider prefers the context to the host that it is told.
    if context and _context_host(context) != host:
        raise pulumi.RunError(
            f"DOCKER_CONTEXT={context} would send the deployment to another engine than {host}."
            " Type:\n      unset DOCKER_CONTEXT"
        )
    return Engine(host=host, tls=tls)


def _context_host(name: str | None) -> str:
    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except (docker.errors.DockerException, OSError) as error:
        raise pulumi.RunError(f"The current docker context can't be read: {error}") from error
    if name and context is None:
        raise pulumi.RunError(f"DOCKER_CONTEXT={name}: there is no such docker context.")
    host = context.Host if context is not None else None
    # The SDK's form of the default differs from the docker command's.
    return DEFAULT_HOST if host is None or host.startswith("http+unix") else str(host)


class _Client(docker.APIClient):  # type: ignore[misc]
    """REQUESTS_CA_BUNDLE and proxies aren't for engines, and would win over what we say."""

    trust_env = property(lambda _: False, lambda *_: None)


@contextlib.contextmanager
def connected(engine: Engine) -> Iterator[docker.APIClient]:
    """A client of the engine; `RunError` when it can't be reached or refuses."""
    with contextlib.ExitStack() as until_done:
        try:
            client = _Client(
                base_url=engine.host,
                version="auto",
                timeout=CONNECT_SECONDS,
                # The other way forks, which a process with gRPC's threads doesn't survive.
                use_ssh_client=False,
                tls=until_done.enter_context(_tls(engine)),
            )
        except (docker.errors.DockerException, OSError) as error:
            raise pulumi.RunError(
                f"No Docker engine answers at {engine.host}: {error}\n"
                "  Start it, or name another with DOCKER_HOST or:\n"
                "      pulumi config set docker:host ssh://USER@MANAGER"
            ) from error
        until_done.callback(client.close)
        try:
            yield client
        except (docker.errors.DockerException, OSError) as error:
            raise pulumi.RunError(f"The Docker engine at {engine.host} says: {error}") from error


@contextlib.contextmanager
def _tls(engine: Engine) -> Iterator[TLSConfig | bool]:
    """What the SDK takes for `tls`. It wants files: this user's alone, and short-lived."""
    if engine.tls is None:
        yield kwargs_from_env().get("tls", False)
        return
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name in ("ca", "certificate", "key"):
            files.append(Path(folder) / name)
            files[-1].touch(mode=0o600)
            files[-1].write_text(getattr(engine.tls, name))
        ca, certificate, key = map(str, files)
        yield TLSConfig(client_cert=(certificate, key), ca_cert=ca, verify=True)
