"""Which engine is talked to, and with which certificates: as the `docker` command finds it.

In one place for the program, its provider and ops, which needs it without the docker SDK.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.swarm import ssh
from components.swarm.engine_errors import EndpointError as EndpointError

DEFAULT_HOST = "unix:///var/run/docker.sock"
DEFAULT_CONTEXT = "default"
"""The context that is none: DOCKER_HOST or the default socket."""
SETTINGS = "docker:caMaterial, docker:certMaterial and docker:keyMaterial"
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Certificates for an engine behind TLS, as PEM texts."""

    ca: str
    """Authority of the engine's certificate, against which it is always verified."""
    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An engine's address, with what it takes to be let in there."""

    host: str
    """unix://, tcp:// or ssh://."""
    tls: Tls | None = None
    """None: without TLS. Only ever for tcp://."""
    tls_source: str = SETTINGS
    """Source of the certificates, for errors: a folder, or the settings."""
    context: str | None = None
    """The docker context that it stands in; None for a setting, DOCKER_HOST or the default."""

    @property
    def warning(self) -> str | None:
        """Weakness of an engine that works; None when it has none."""
        if self.tls or not self.host.startswith("tcp://") or _is_loopback(self.host):
            return None
        return (
            f"{self.host} is talked to without TLS: passwords, keys and all else travel in plain"
            " text, and whoever reaches that port is root there. Use ssh:// or certificates"
        )


def find_endpoint(
    configured: str | None = None,
    tls: Tls | None = None,
    environment: Mapping[str, str] | None = None,
) -> Endpoint:
    """Return the engine that is `configured`, else that of DOCKER_HOST, else of the context.

    Certificates are those of the settings (`tls`), else of DOCKER_CERT_PATH, else of the context.
    `EndpointError` when a context or a file that is named isn't there.
    """
    endpoint = _find(configured, tls, os.environ if environment is None else environment)
    if endpoint.host.startswith(ssh.SCHEME):
        try:
            ssh.parse(endpoint.host)
        except ValueError as error:
            raise EndpointError(str(error)) from error
    return endpoint


def _find(configured: str | None, tls: Tls | None, variables: Mapping[str, str]) -> Endpoint:
    host, context = configured or variables.get("DOCKER_HOST"), None
    if not host:
        folder = _config_folder(variables)
        context = variables.get("DOCKER_CONTEXT") or _current_context(folder)
        if context != DEFAULT_CONTEXT:
            return _of_context(folder, context, tls)
        host = DEFAULT_HOST
    if not host.startswith("tcp://"):
        return Endpoint(host=host)
    if tls:
        return Endpoint(host=host, tls=tls, tls_source=SETTINGS)
    path = variables.get("DOCKER_CERT_PATH")
    if not path and variables.get("DOCKER_TLS_VERIFY"):
        path = str(_config_folder(variables))
    if not path:
        return Endpoint(host=host)
    return Endpoint(host=host, tls=_read_tls(Path(path), "DOCKER_CERT_PATH"), tls_source=path)


def _config_folder(variables: Mapping[str, str]) -> Path:
    return Path(variables.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _current_context(folder: Path) -> str:
    try:
        settings = json.loads((folder / "config.json").read_text())
        return str(settings.get("currentContext") or DEFAULT_CONTEXT)
    except FileNotFoundError:
        return DEFAULT_CONTEXT
    except (OSError, ValueError, AttributeError) as error:
        raise EndpointError(f"{folder / 'config.json'} can't be read: {error}") from error


def _of_context(folder: Path, name: str, tls: Tls | None) -> Endpoint:
    # The docker command's own names of a context's folders.
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest / "meta.json"
    try:
        endpoint: Any = json.loads(meta.read_text())["Endpoints"]["docker"]
        host, unverified = str(endpoint["Host"]), bool(endpoint.get("SkipTLSVerify"))
    except FileNotFoundError:
        raise EndpointError(
            f"there is no docker context {name!r}. See `docker context ls`, then type:\n"
            "      docker context use NAME"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise EndpointError(f"docker context {name!r} can't be read ({meta}): {error!r}") from error
    if not host.startswith("tcp://"):
        return Endpoint(host=host, context=name)
    if tls:
        return Endpoint(host=host, tls=tls, tls_source=SETTINGS, context=name)
    files = folder / "contexts" / "tls" / digest / "docker"
    if unverified:
        raise EndpointError(
            f"docker context {name!r} doesn't verify the engine's certificate (skip-tls-verify)."
            " Give it the authority's:\n"
            f"      docker context update {name} --docker host={host},ca=CA.pem,cert=CERT.pem,"
            "key=KEY.pem"
        )
    if not files.is_dir():
        return Endpoint(host=host, context=name)
    read = _read_tls(files, f"docker context {name!r}")
    return Endpoint(host=host, tls=read, tls_source=str(files), context=name)


def _read_tls(folder: Path, source: str) -> Tls:
    """Return the three files of `folder`, which `source` has named."""
    texts = []
    for name in TLS_FILES:
        try:
            texts.append((folder / name).read_text())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise EndpointError(
                f"{source}: {folder / name} can't be read ({reason}). An engine behind TLS takes"
                f" {', '.join(TLS_FILES)}, of which the first verifies it and the others let us in"
            ) from error
    ca, certificate, key = texts
    return Tls(ca=ca, certificate=certificate, key=key)


def _is_loopback(host: str) -> bool:
    name = urllib.parse.urlsplit(host).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
