"""No node may hold the data, or run the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.errors.base import DeploymentError

if TYPE_CHECKING:
    from components.swarm.inspect import Node
    from components.swarm.location import Role


class PlacementError(DeploymentError):
    """No node, or none for certain, that a service or its data may be on."""


@dataclass(eq=False, kw_only=True)
class NoNodeError(PlacementError):
    """No usable node fits."""

    subject: str
    """Service or volume that wants one."""
    obstacles: Mapping[str, str]
    """Rest of a sentence by node: why that one won't do."""
    constraints: Sequence[str] = ()
    """Placement constraints that somebody has chosen."""
    kind: str = "node"
    """`manager` where a worker wouldn't do."""

    def __str__(self) -> str:
        names = ", ".join(f"{name} {reason}" for name, reason in self.obstacles.items())
        return (
            f"No {self.kind} of the swarm can take {self.subject}: {names or 'none fits'}."
            " Bring one back:\n"
            "      docker node ls\n      docker node update --availability active NODE"
        )


@dataclass(eq=False, kw_only=True)
class NodeUnknownError(PlacementError):
    """A name that no node has, or several."""

    role: Role
    wanted: str
    matches: int
    """Number of nodes that have the name."""
    nodes: Sequence[Node]

    def __str__(self) -> str:
        return f"{self.wanted!r} {self.reason}"

    @property
    def reason(self) -> str:
        """Rest of the sentence that begins with the name."""
        names = ", ".join(sorted(f"{node.name} ({node.id})" for node in self.nodes))
        which = f"the name of {self.matches} nodes" if self.matches else "no node of the swarm"
        return f"is {which}. There are: {names}."


@dataclass(eq=False, kw_only=True)
class NodeNotNamedError(PlacementError):
    """Data on another swarm than before, where their node isn't known."""

    role: Role
    nodes: Sequence[Node]

    def __str__(self) -> str:
        names = ", ".join(node.name for node in self.nodes)
        return f"Which node of this swarm has the volume with the {self.role.name}? Of {names}"


@dataclass(eq=False, kw_only=True)
class NodeGoneError(PlacementError):
    """Data on a node that has left the swarm."""

    role: Role
    node: str
    node_id: str

    def __str__(self) -> str:
        return (
            f"The {self.role.name} are on node {self.node} ({self.node_id}), which has left the"
            " swarm. If it has joined again, it has a new id: name it, and what it was"
        )


@dataclass(eq=False, kw_only=True)
class NodeUnavailableError(PlacementError):
    """Data on a node where Swarm would start no task."""

    role: Role
    node: Node
    reason: str
    """Rest of the sentence that begins with the node, and what to do."""

    def __str__(self) -> str:
        return f"The {self.role.name} are on node {self.node.name} ({self.node.id}), {self.reason}"


@dataclass(eq=False, kw_only=True)
class DataElsewhereError(PlacementError):
    """A node is named, and another one has the label of the data."""

    role: Role
    wanted: str
    label: str
    holder: Node

    def __str__(self) -> str:
        return (
            f"The {self.role.name} are to be on node {self.wanted!r}, {self.reason} Copy the volume"
            " first, and consent to the move by the name of that node."
        )

    @property
    def reason(self) -> str:
        """Rest of a sentence: where the data are."""
        return (
            f"but the {self.role.name} are on node {self.holder.name} (it has the label"
            f" {self.label})."
        )


@dataclass(eq=False, kw_only=True)
class LabelAmbiguousError(PlacementError):
    """A volume's label on several nodes."""

    role: Role
    label: str
    nodes: Sequence[Node]

    def __str__(self) -> str:
        commands = "".join(
            f"\n      docker node update --label-rm {self.label} {node.id}   # {node.name}"
            for node in self.nodes
        )
        return (
            f"The label {self.label} is on {len(self.nodes)} nodes, and the volume is on one of"
            f" them only. Take it off the nodes that don't hold the {self.role.name}:{commands}"
        )


@dataclass(eq=False, kw_only=True)
class LabelMovedError(PlacementError):
    """A volume's label on another node than the volume."""

    role: Role
    label: str
    holder: Node
    """The node with the label."""
    home: Node
    """The node with the data."""

    def __str__(self) -> str:
        holder, home = self.holder, self.home
        return (
            f"The {self.role.name} are on node {home.name} ({home.id}), and the label {self.label}"
            f" is on {holder.name} ({holder.id}), which would start with an empty volume. If that"
            " is a mistake, type:\n"
            f"      docker node update --label-rm {self.label} {holder.id}\n"
            f"      docker node update --label-add {self.label}=true {home.id}"
        )


@dataclass(eq=False, kw_only=True)
class MoveCutOffError(PlacementError):
    """A move of data that was cut off after their label had gone to the new node."""

    role: Role
    old: Node
    new: Node

    def __str__(self) -> str:
        return (
            f"A move of the {self.role.name} from node {self.old.name} to {self.new.name} was cut"
            f" off, so what came last may still be on {self.old.name} alone."
        )


@dataclass(eq=False, kw_only=True)
class LabelValueError(PlacementError):
    """A volume's label with a value that somebody may have meant, and Swarm doesn't count."""

    label: str
    value: str
    node: Node

    def __str__(self) -> str:
        return (
            f"Node {self.node.name} has the label {self.label}={self.value}, and the value that"
            " counts is true. If the volume is there, type:\n"
            f"      docker node update --label-add {self.label}=true {self.node.id}\n"
            "  If not:\n"
            f"      docker node update --label-rm {self.label} {self.node.id}"
        )
