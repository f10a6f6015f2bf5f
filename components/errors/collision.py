"""Another has a name, a host or a port already."""

from __future__ import annotations

from dataclasses import dataclass

from components.errors.base import DeploymentError


@dataclass(eq=False, kw_only=True)
class CollisionError(DeploymentError):
    """Something that another has already."""

    owner: str
    """The service, container or program that has it."""


@dataclass(eq=False, kw_only=True)
class HostTakenError(CollisionError):
    """A host whose requests go to another stack's service."""

    host: str
    setting: str
    """The caller's name for what chooses the host."""

    def __str__(self) -> str:
        return (
            f"{self.host} leads to {self.owner} already, and Traefik would give each a part of the"
            " requests. Take it off that service, or choose another name"
        )


@dataclass(eq=False, kw_only=True)
class HostSharedError(CollisionError):
    """A host of which another stack's service serves a part."""

    host: str
    rule: str
    """The other's."""

    def __str__(self) -> str:
        return f"{self.host}: {self.owner} serves a part of it ({self.rule})"


@dataclass(eq=False, kw_only=True)
class NameTakenError(CollisionError):
    """A name in Traefik that another stack's service defines."""

    kind: str
    """`routers`, `services` or `middlewares`."""
    name: str
    is_redirect: bool
    """The middleware that sends plain HTTP to HTTPS, which several stacks may share."""

    def __str__(self) -> str:
        return (
            f"Traefik has {self.kind} of the name {self.name} from {self.owner}, and would mix up"
            " the two. Choose another name"
        )


@dataclass(eq=False, kw_only=True)
class PortTakenError(CollisionError):
    """A TCP port that is in use on a node."""

    port: int
    node: str
    setting: str
    """The caller's name for what chooses the port."""

    def __str__(self) -> str:
        return (
            f"Port {self.port} of node {self.node} is taken by {self.owner}. Free it, or choose"
            " another"
        )


@dataclass(eq=False, kw_only=True)
class AlreadyThereError(DeploymentError):
    """A service or network on the swarm that the state doesn't know."""

    kind: str
    """`service` or `network`."""
    name: str
    is_public_network: bool = False
    """The network that other stacks may join."""

    def __str__(self) -> str:
        return (
            f"The {self.kind} {self.name} is on this swarm already, and this state doesn't know it:"
            " the stack's state was lost, or another checkout or backend has it. Nothing was"
            " changed."
        )
