"""Data would be left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.errors.base import DeploymentError

if TYPE_CHECKING:
    from components.swarm.location import Role


class LocationError(DeploymentError):
    """A deployment would leave data behind, or go to another swarm."""


@dataclass(eq=False, kw_only=True)
class DataLocationError(LocationError):
    """Data that are in one place, and would be looked for in another."""

    role: Role
    old: Mapping[str, Any]
    """The location that the state remembers, in its form."""
    new: Mapping[str, Any]
    old_text: str
    """The location that the state remembers, for people."""
    new_text: str


@dataclass(eq=False, kw_only=True)
class VolumeWouldMoveError(DataLocationError):
    """The same volume on another node: an empty one."""

    def __str__(self) -> str:
        old, new = self.old, self.new
        return (
            f"The {self.role.name} are on node {old['node']} ({old['nodeId']}), in volume"
            f" {old['volume']}, and {new['node']} ({new['nodeId']}) would start with an empty one."
        )


@dataclass(eq=False, kw_only=True)
class VolumeReusedError(DataLocationError):
    """Another driver or other options for a volume that keeps its own."""

    def __str__(self) -> str:
        return (
            f"The {self.role.name} are in {self.old_text}, and Docker keeps a volume of that name"
            " as it was made, whatever its driver and options are now. Give the new one another"
            " name"
        )


@dataclass(eq=False, kw_only=True)
class DataLeftBehindError(DataLocationError):
    """Another volume, bucket or folder: an empty one."""

    def __str__(self) -> str:
        return (
            f"The {self.role.name} are in {self.old_text}, and {self.new_text} would be an empty"
            " place."
        )


@dataclass(eq=False, kw_only=True)
class MoveUndoneError(DataLocationError):
    """A move that has failed, so that the data are still where they were."""

    is_label_back: bool

    def __str__(self) -> str:
        label = ", and its label is back there" if self.is_label_back else ""
        return (
            f"The {self.role.name} are still in {self.old_text}{label}. To try the move again,"
            " deploy again"
        )


@dataclass(eq=False, kw_only=True)
class AnotherSwarmError(LocationError):
    """The stack was deployed to another swarm."""

    before: str
    """Id of the swarm that has the data."""
    cluster: str
    """Id of the one that the engine belongs to."""
    host: str

    def __str__(self) -> str:
        return f"This stack {self.reason}"

    @property
    def reason(self) -> str:
        """Rest of the sentence that begins with the stack."""
        return (
            f"is deployed to swarm {self.before}, and the engine at {self.host} is a manager of"
            f" another one, {self.cluster}."
        )
