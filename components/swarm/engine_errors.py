"""What stands against the use of an engine, as types with facts.

Standard library only: commands use it before anything is installed. Where Pulumi's SDK is there,
`components.errors.EngineError` has one of these as its cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class EndpointError(ValueError):
    """Settings, environment or docker contexts that lead to no engine that can be used."""


@dataclass(eq=False, kw_only=True)
class EngineUnreachableError(EndpointError):
    """Nothing answers, or not any more."""

    host: str
    reason: str

    @property
    def is_remote(self) -> bool:
        """An engine behind ssh, whose reason has what to type."""
        return self.host.startswith("ssh://")

    def __str__(self) -> str:
        text = f"No Docker engine answers at {self.host}: {self.reason}"
        return text if self.is_remote else f"{text}\n  Start it, or name another with DOCKER_HOST"


@dataclass(eq=False, kw_only=True)
class EngineRefusedError(EndpointError):
    """The engine answers, and refuses or fails."""

    host: str
    reason: str

    def __str__(self) -> str:
        return f"The Docker engine at {self.host} says: {self.reason}"


@dataclass(eq=False, kw_only=True)
class EngineTlsError(EndpointError):
    """The engine's certificates and ours don't go together."""

    host: str
    reason: str
    is_wrong_name: bool = False
    """The engine's certificate is for other names than the host's."""

    def __str__(self) -> str:
        return f"The Docker engine at {self.host} can't be used: {self.reason}"


@dataclass(eq=False, kw_only=True)
class NotAManagerError(EndpointError):
    """The engine is a worker of its swarm."""

    host: str
    managers: Sequence[str]
    """Addresses of its swarm's managers."""

    def __str__(self) -> str:
        return (
            f"The Docker engine at {self.host} is a worker, and only a manager takes deployments."
            f" Managers of its swarm: {', '.join(self.managers)}. Name one with DOCKER_HOST"
        )


@dataclass(eq=False, kw_only=True)
class SwarmUnavailableError(EndpointError):
    """The engine's swarm can't be used, or there is none."""

    host: str
    reason: str
    """Rest of the sentence that begins with the engine, and what to type there."""

    def __str__(self) -> str:
        return f"The Docker engine at {self.host} {self.reason}"
