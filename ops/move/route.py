"""The nodes that images are on and go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.storage import IMAGES_STORAGE
from components.swarm.inspect import Node, read_node
from components.swarm.placement import holders_of, left_label, move_cut_off, obstacle
from components.swarm.service import service_name
from ops import inventory
from ops.bootstrap.console import UserError
from ops.job import registry_service, service_named
from settings.remedies import explain

if TYPE_CHECKING:
    from ops.stack import Stack


@dataclass(frozen=True, kw_only=True)
class Route:
    """A volume's way from one node to another."""

    old: Node
    new: Node
    wanted: str
    """Host name or id of the new node, as it was typed."""
    volume: str
    label: str
    """Label of the volume's node."""
    labels: Mapping[str, str]
    """Labels of the registry's service."""
    login_labels: Mapping[str, str]
    """Labels of the token server's service; none without one."""
    is_over: bool
    """The registry runs on the new node already: only what follows is left to do."""


def find_route(stack: Stack, wanted: str) -> Route:
    """Return the way to the node `wanted`; UserError when there is none."""
    with inventory.connected(stack.name, stack.endpoint) as client:
        nodes = [read_node(raw) for raw in client.nodes()]
        service = registry_service(stack, client)
        token_server = service_named(client, service_name(stack.config.swarm_stack, "token"))
    spec = service["Spec"]
    task = spec["TaskTemplate"]
    constraints: Sequence[str] = (task.get("Placement") or {}).get("Constraints") or []
    label = f"{stack.config.swarm_stack}.{IMAGES_STORAGE}"
    by_label = [each for each in constraints if f"node.labels.{label}" in each.replace(" ", "")]
    if not by_label:
        raise UserError(
            f"the images of stack {stack.name} aren't in a volume of one node, so there is nothing"
            " to move between nodes"
        )
    new = _named(nodes, wanted)
    if reason := obstacle(new, [each for each in constraints if each not in by_label]):
        raise UserError(f"NODE={wanted}: Swarm would start no registry there: it {reason}")
    old, is_over = _old(nodes, label, new, stack.name)
    mounts = task["ContainerSpec"].get("Mounts") or []
    return Route(
        old=old,
        new=new,
        wanted=wanted,
        volume=next(each["Source"] for each in mounts if each["Type"] == "volume"),
        label=label,
        labels=labels_of(service),
        login_labels=labels_of(token_server),
        is_over=is_over,
    )


def labels_of(service: Mapping[str, Any] | None) -> Mapping[str, str]:
    """Return the labels of a service, as the engine describes it; none of None."""
    return (service["Spec"].get("Labels") or {}) if service else {}


def _named(nodes: Sequence[Node], wanted: str) -> Node:
    named = [node for node in nodes if wanted in (node.id, node.name)]
    if len(named) == 1:
        return named[0]
    problem = "of that name there are several: give the id" if named else "there is no such node"
    listed = ", ".join(f"{node.name} ({node.id})" for node in nodes)
    raise UserError(f"NODE={wanted}: {problem}. The swarm has {listed}")


def _old(nodes: Sequence[Node], label: str, new: Node, stack: str) -> tuple[Node, bool]:
    """Return the node that the images are moved from, and whether the registry has left it."""
    holders = holders_of(nodes, label)
    if len(holders) != 1:
        raise UserError(f"{len(holders)} nodes have the label {label}=true, and one should")
    (holder,) = holders
    cut_off = move_cut_off(nodes, label)
    if holder.id != new.id:
        if cut_off:
            raise UserError(explain(cut_off, stack))
        return holder, False
    if cut_off is None:
        raise UserError(f"the images are on {new.name} already")
    return cut_off.old, True


def note_move(stack: Stack, label: str, node_id: str | None) -> None:
    """Note on a node that its images move away; None: the move has ended.

    Whoever goes on, from whatever machine, finds it after this command was killed.
    """
    from components.swarm.direct import put_label

    with inventory.connected(stack.name, stack.endpoint) as client:
        put_label(client, left_label(label), node_id)


def is_on(stack: Stack, label: str, node: Node) -> bool:
    """Return whether the label is on `node`, so that the registry serves there."""
    with inventory.connected(stack.name, stack.endpoint) as client:
        holders = holders_of([read_node(raw) for raw in client.nodes()], label)
    return [each.id for each in holders] == [node.id]
