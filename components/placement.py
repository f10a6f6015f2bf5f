"""Which node holds a volume, decided once and guarded ever after.

A named volume lives on one node. A task that starts on another one finds an empty volume, and
that looks as if all images were lost. So the node carries a label that is the volume's alone,
the service is constrained to it, and whatever would bring the task elsewhere is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.swarm import Node


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in a volume, in the words of messages and settings."""

    name: str
    """Plural noun."""
    prefix: str
    """Of the settings `<prefix>Name`, `<prefix>Node`, `<prefix>MovedFrom`."""


IMAGES = Contents(name="images", prefix="volume")
MIRRORED = Contents(name="mirrored images", prefix="mirrors")
CERTIFICATES = Contents(name="certificates", prefix="certificates")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a volume is: what the state remembers."""

    volume: str
    label: str
    node_id: str
    node: str
    """Host name, for people."""

    def remembered(self) -> dict[str, str]:
        """The form in which the state keeps it."""
        return {
            "volume": self.volume,
            "label": self.label,
            "nodeId": self.node_id,
            "node": self.node,
        }


def choose_node(
    nodes: Sequence[Node],
    label: str,
    wanted: str | None,
    moved_from: str | None,
    contents: Contents = IMAGES,
) -> Node:
    """The node that has `label=true`, or shall have it; `RunError` when none may.

    Without a label anywhere and without `wanted` (host name or id) any ready, active node will
    do. The choice looks random from one label to the next, and is the same every time for one
    label and one set of nodes, so that a preview tells what the deployment then does.
    """
    what, setting = contents.name, contents.prefix
    holders = [node for node in nodes if node.labels.get(label) == "true"]
    if len(holders) > 1:
        commands = "".join(
            f"\n      docker node update --label-rm {label} {node.id}   # {node.name}"
            for node in holders
        )
        raise pulumi.RunError(
            f"The label {label} is on {len(holders)} nodes, and the volume is on one of them only."
            f" Take it off the nodes that don't hold the {what}:{commands}"
        )
    holder = holders[0] if holders else None
    if wanted is not None:
        node = _named(nodes, wanted, contents)
        if holder and holder.id != node.id and moved_from not in (holder.id, holder.name):
            raise pulumi.RunError(
                f"registry:{setting}Node is {wanted!r}, but the {what} are on node {holder.name}"
                f" (it has the label {label}). {_how_to_move(holder.name, holder.name, contents)}"
            )
    elif holder is not None:
        node = holder
    else:
        node = _any_usable(nodes, label, contents)
    if not node.usable:
        raise pulumi.RunError(
            f"The {what} of the registry are on node {node.name} ({node.id}), which is"
            f" {_condition(node)}: Swarm would start no task there. Bring it back first:"
            f"\n      docker node ls\n      docker node update --availability active {node.id}"
        )
    return node


def refuse_to_leave(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    moved_from: str | None,
    contents: Contents = IMAGES,
) -> None:
    """`RunError` when the place `new` isn't `old` and nobody asked for the move by name."""
    what, setting = contents.name, contents.prefix
    if old["volume"] != new["volume"] and moved_from != old["volume"]:
        raise pulumi.RunError(
            f"The {what} are in volume {old['volume']} on node {old['node']}, and"
            f" {new['volume']} would be an empty one. To keep them, type:\n"
            f"      pulumi config set registry:{setting}Name {old['volume']}\n"
            f"      pulumi config set registry:{setting}Node {old['node']}\n"
            "  To start with an empty volume (the old one stays where it is):\n"
            f"      pulumi config set registry:{setting}MovedFrom {old['volume']}"
        )
    names = (old["nodeId"], old["node"], old["volume"])
    if old["nodeId"] != new["nodeId"] and moved_from not in names:
        raise pulumi.RunError(
            f"The {what} are on node {old['node']} ({old['nodeId']}), and that node no longer has"
            f" the label {new['label']} or has left the swarm; {new['node']} ({new['nodeId']})"
            f" would start with an empty volume. If it is there, type:\n"
            f"      docker node update --label-add {new['label']}=true {old['nodeId']}\n"
            f"  {_how_to_move(old['node'], old['nodeId'], contents)}"
        )


def _named(nodes: Sequence[Node], wanted: str, contents: Contents) -> Node:
    found = [node for node in nodes if wanted in (node.id, node.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(f"{node.name} ({node.id})" for node in nodes))
    what = "no node of the swarm" if not found else f"the name of {len(found)} nodes"
    key = f"registry:{contents.prefix}Node"
    raise pulumi.RunError(
        f"{key} is {wanted!r}, which is {what}. There are: {names}. Type:\n"
        f"      pulumi config set {key} ID"
    )


def _any_usable(nodes: Sequence[Node], label: str, contents: Contents) -> Node:
    usable = [node for node in nodes if node.usable]
    if not usable:
        names = ", ".join(f"{node.name} is {_condition(node)}" for node in nodes)
        raise pulumi.RunError(
            f"No node of the swarm can take the volume of the {contents.name}: {names}."
        )
    # Rendezvous hashing: another node that joins changes the choice for few labels only.
    return max(usable, key=lambda node: hashlib.sha256(f"{label} {node.id}".encode()).digest())


def _condition(node: Node) -> str:
    if node.state != "ready":
        return node.state
    return {"drain": "drained", "pause": "paused"}.get(node.availability, node.availability)


def _how_to_move(name: str, consent: str, contents: Contents) -> str:
    return (
        f"To move them, copy the volume from {name} to the new node, then type:\n"
        f"      pulumi config set registry:{contents.prefix}Node NEW-NODE\n"
        f"      pulumi config set registry:{contents.prefix}MovedFrom {consent}"
    )
