"""Images, secrets, Pulumi's state, and services that don't come up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.errors.base import DeploymentError

if TYPE_CHECKING:
    from components.swarm.task_failure import TaskFailure


@dataclass(eq=False, kw_only=True)
class ImageMissingError(DeploymentError):
    """An image that the engine has not, and can't pull."""

    image: str
    reason: str
    setting: str
    """The caller's name for what chooses the image."""

    def __str__(self) -> str:
        return (
            f"The image {self.image} isn't on the engine, and can't be pulled: {self.reason}. Name"
            " another, or load it (`docker load`)"
        )


@dataclass(eq=False, kw_only=True)
class ImageNotBuiltError(DeploymentError):
    """An image that is built on the engine, and isn't there."""

    image: str
    setting: str
    """The caller's name for what chooses another image."""
    host: str
    """The engine's address."""

    def __str__(self) -> str:
        return (
            f"The image {self.image} isn't on the engine. Build it there, or name one that can be"
            " pulled"
        )


@dataclass(eq=False, kw_only=True)
class ImageNotSharedError(DeploymentError):
    """An image that is built on one engine, for a swarm of several nodes."""

    image: str
    nodes: int
    setting: str
    """The caller's name for what chooses another image."""

    def __str__(self) -> str:
        return (
            f"The image {self.image} is built on one engine, and the swarm has {self.nodes} nodes."
            " Push it to a registry that all of them reach, and name it there"
        )


@dataclass(eq=False, kw_only=True)
class LittleSpaceError(DeploymentError):
    """Little space for images and volumes on the engine's machine."""

    free_mib: int
    folder: str

    def __str__(self) -> str:
        return f"Only {self.free_mib} MiB are free in {self.folder}, where images and volumes are"


@dataclass(eq=False, kw_only=True)
class SecretTooLargeError(DeploymentError):
    """A Swarm secret that is larger than Swarm takes."""

    secret: str
    size: int
    """Bytes."""
    limit: int

    def __str__(self) -> str:
        return (
            f"The content of Swarm secret {self.secret} has {self.size} bytes, and Swarm takes"
            f" {self.limit} at the most."
        )


@dataclass(eq=False, kw_only=True)
class StateUnreadableError(DeploymentError):
    """Pulumi doesn't answer what the stack's state has."""

    stack: str
    reason: str

    def __str__(self) -> str:
        return (
            f"Pulumi doesn't tell what the state of stack {self.stack} has, and without it nothing"
            f" guards the images: {self.reason}"
        )


class PartialUpgradeError(DeploymentError):
    """A stack of an earlier version, deployed in part."""

    def __str__(self) -> str:
        return (
            "The stack was deployed by an earlier version, and --target or --exclude would leave a"
            " part of it in that version's state, which Pulumi can't do. Deploy it once as a whole"
        )


class RolloutFailedError(DeploymentError):
    """A service that doesn't come up, or whose update was undone; the text says what to do."""

    def __init__(self, text: str, failure: TaskFailure | None = None) -> None:
        super().__init__(text)
        self.failure = failure
        """The task's failure that stands behind it, if one is known."""
