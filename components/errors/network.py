"""A network can't be used."""

from __future__ import annotations

from dataclasses import dataclass

from components.errors.base import DeploymentError


@dataclass(eq=False, kw_only=True)
class NetworkError(DeploymentError):
    """Services can't use a network."""

    network: str
    index: int | None = None
    """Its position among the further networks; None for the public one."""


@dataclass(eq=False, kw_only=True)
class NetworkMissingError(NetworkError):
    """A network that isn't there, and won't be made."""

    def __str__(self) -> str:
        return f"The swarm has no network {self.network!r}. Make it:\n{self.command}"

    @property
    def command(self) -> str:
        """The line that makes it."""
        attachable = " --attachable" if self.index is None else ""
        return f"      docker network create --driver overlay{attachable} {self.network}"


@dataclass(eq=False, kw_only=True)
class NotAnOverlayError(NetworkError):
    """A network that services can't join."""

    driver: str
    scope: str

    def __str__(self) -> str:
        return f"{self.network!r} {self.reason}"

    @property
    def reason(self) -> str:
        """Rest of the sentence that begins with its name."""
        return (
            f"is a {self.scope} network with the driver {self.driver}: services need an overlay"
            " network."
        )


@dataclass(eq=False, kw_only=True)
class NetworkNotEncryptedError(NetworkError):
    """A network that is to be encrypted, is there, and isn't."""

    service: str = ""
    """Part of the stack that it leads to; empty for the public one."""

    def __str__(self) -> str:
        return f"Network {self.network} is there and isn't encrypted, which Docker can't change."
