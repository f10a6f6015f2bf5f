"""The nodes that images are on and go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.swarm.inspect import Node, read_node
from components.swarm.placement import holders_of, obstacle
from components.swarm.service import service_name
from ops import inventory
from ops.bootstrap.console import UserError
from ops.job import service_named

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
    labels: Mapping[str, str]
    """Labels of the registry's service."""
    is_over: bool
    """The registry runs on the new node already: only what follows is left to do."""


def find_route(stack: Stack, wanted: str) -> Route:
    """Return the way to the node `wanted`; UserError when there is none."""
    name = service_name(stack.config.swarm_stack, "registry")
    with inventory.connected(stack.name, stack.endpoint) as client:
        nodes = [read_node(raw) for raw in client.nodes()]
        service = service_named(client, name)
    if service is None:
        raise UserError(
            f"there is no service {name} on the swarm; deploy it first:"
            f" make deploy STACK={stack.name}"
        )
    spec = service["Spec"]
    task = spec["TaskTemplate"]
    constraints: Sequence[str] = (task.get("Placement") or {}).get("Constraints") or []
    label = f"{stack.config.swarm_stack}.registry-data"
    by_label = [each for each in constraints if f"node.labels.{label}" in each.replace(" ", "")]
    if not by_label:
        raise UserError(
            f"the images of stack {stack.name} aren't in a volume of one node, so there is nothing"
            " to move between nodes"
        )
    new = _named(nodes, wanted)
    if reason := obstacle(new, [each for each in constraints if each not in by_label]):
        raise UserError(f"NODE={wanted}: Swarm would start no registry there: it {reason}")
    holders = holders_of(nodes, label)
    if len(holders) != 1:
        raise UserError(f"{len(holders)} nodes have the label {label}=true, and one should")
    (old,) = holders
    is_over = old.id == new.id
    if is_over:
        before = stack.settings.volumes.images.moved_from
        left = [node for node in nodes if before in (node.id, node.name) and node.id != new.id]
        if not left:
            raise UserError(f"the images are on {new.name} already")
        (old, *_) = left
    mounts = task["ContainerSpec"].get("Mounts") or []
    return Route(
        old=old,
        new=new,
        wanted=wanted,
        volume=next(each["Source"] for each in mounts if each["Type"] == "volume"),
        labels=spec.get("Labels") or {},
        is_over=is_over,
    )


def _named(nodes: Sequence[Node], wanted: str) -> Node:
    named = [node for node in nodes if wanted in (node.id, node.name)]
    if len(named) == 1:
        return named[0]
    problem = "of that name there are several: give the id" if named else "there is no such node"
    listed = ", ".join(f"{node.name} ({node.id})" for node in nodes)
    raise UserError(f"NODE={wanted}: {problem}. The swarm has {listed}")
