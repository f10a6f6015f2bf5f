"""Names of images, and the logins that private ones are pulled with."""

from __future__ import annotations

from dataclasses import dataclass, field

DOCKER_HUB = "docker.io"
HUB_HOSTS = (DOCKER_HUB, "index.docker.io")
"""Its names in images, which docker leaves out."""


@dataclass(frozen=True, kw_only=True)
class PullLogin:
    """Somebody who may pull from a registry."""

    username: str
    password: str = field(repr=False)


def registry_of(image: str) -> str:
    """Return the host, with its port, of the registry that docker pulls `image` from."""
    host, slash, _ = image.partition("/")
    is_host = "." in host or ":" in host or host == "localhost" or host != host.lower()
    return host if slash and is_host else DOCKER_HUB


def is_version_of(image: str, default: str) -> bool:
    """Return whether an image has the version of another, wherever it is pulled from."""
    version = image.partition("@")[0].rpartition(":")[2]
    return version == default.rpartition(":")[2]
