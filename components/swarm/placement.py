"""Which node holds a volume: chosen once, and remembered from then on.

A named volume lives on one node. A task that starts on another one finds an empty volume, and
that looks as if all images were lost. So the node carries a label that is the volume's alone, and
the service is constrained to it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pulumi

from components.swarm.inspect import Node, holds
from components.swarm.location import IMAGES, Role, config_command, how_to_move, names_of

_NO = ("false", "0", "no", "off", "")
"""Values by which people say that a node isn't meant."""


def choose_node(
    nodes: Sequence[Node],
    label: str,
    *,
    wanted: str | None = None,
    consent: str | None = None,
    remembered: Mapping[str, Any] | None = None,
    constraints: Iterable[str] = (),
    apart_from: str | None = None,
    role: Role = IMAGES,
    stack: str = "",
) -> Node:
    """Return the node that holds the volume, or shall; `RunError` when none may.

    `wanted` is a host name or id, `remembered` what the state has of the volume's node, `consent`
    names the node that held it until now. Without any of these, and without the label on a node,
    any ready and active one that fits `constraints` will do, a worker before managers, and among
    these the node with the id `apart_from` last. That choice looks random from one label to the
    next, and is the same every time for one label and one set of nodes, so that a preview tells
    what the deployment then does.
    """
    holder = _holder(nodes, label, role)
    named = _named(nodes, wanted, role, stack) if wanted is not None else None
    if remembered is None:
        node = named or holder or _any_usable(nodes, label, constraints, apart_from, role)
        if holder is None and named is None:
            _refuse_other_values(nodes, label)
        if holder and holder.id != node.id and consent not in (holder.id, holder.name):
            place = {"nodeId": holder.id, "node": holder.name}
            raise pulumi.RunError(
                f"registry:{role.prefix}Node is {wanted!r}, but the {role.name} are on node"
                f" {holder.name} (it has the label {label}). {how_to_move(place, role, stack)}"
            )
    else:
        home = next((node for node in nodes if node.id == remembered["nodeId"]), None)
        moves = consent in names_of(remembered)
        # Whoever copies a volume may move its label, and then say so.
        node_ = named or (holder if moves else None) or home
        if node_ is None:
            raise pulumi.RunError(
                f"The {role.name} are on node {remembered['node']} ({remembered['nodeId']}), which"
                " has left the swarm. If it has joined again, it has a new id: name it, and what"
                " it was:\n"
                f"      {config_command(stack, 'set')} registry:{role.prefix}Node"
                f" {remembered['node']}\n"
                f"      {config_command(stack, 'set')} registry:{role.prefix}MovedFrom"
                f" {remembered['nodeId']}"
            )
        node = node_
        if holder and holder.id != node.id and consent not in (holder.id, holder.name):
            _refuse_moved_label(holder, home or node, label, role, stack)
    _refuse_unfit(node, constraints, role)
    return node


def _refuse_unfit(node: Node, constraints: Iterable[str], role: Role) -> None:
    """Swarm would start no task on the node that has the volume."""
    unmet = [text for text in constraints if not fits(node, text)]
    if unmet:
        raise pulumi.RunError(
            f"The {role.name} are on node {node.name} ({node.id}), where {' and '.join(unmet)}"
            " doesn't hold: Swarm would start no task there. Change the constraint, or move the"
            f" {role.name} to a node where it holds."
        )
    if not node.usable:
        raise pulumi.RunError(
            f"The {role.name} of the registry are on node {node.name} ({node.id}), which is"
            f" {_condition(node)}: Swarm would start no task there. {_remedy(node)}"
        )


def _holder(nodes: Sequence[Node], label: str, role: Role) -> Node | None:
    """Return the one node that Swarm takes for labelled, or None."""
    holders = holders_of(nodes, label)
    if len(holders) > 1:
        commands = "".join(
            f"\n      docker node update --label-rm {label} {node.id}   # {node.name}"
            for node in holders
        )
        raise pulumi.RunError(
            f"The label {label} is on {len(holders)} nodes, and the volume is on one of them only."
            f" Take it off the nodes that don't hold the {role.name}:{commands}"
        )
    return holders[0] if holders else None


def holders_of(nodes: Sequence[Node], label: str) -> list[Node]:
    """Return the nodes on which `label` is true."""
    return [node for node in nodes if holds(node.labels, label)]


def _refuse_other_values(nodes: Sequence[Node], label: str) -> None:
    """Somebody may have meant a node by `1` or `yes`; a service here asks for `true`."""
    for node in nodes:
        value = node.labels.get(label)
        if value is not None and value.lower() not in _NO:
            raise pulumi.RunError(
                f"Node {node.name} has the label {label}={value}, and the value that counts is"
                " true. If the volume is there, type:\n"
                f"      docker node update --label-add {label}=true {node.id}\n"
                "  If not:\n"
                f"      docker node update --label-rm {label} {node.id}"
            )


def _refuse_moved_label(holder: Node, home: Node, label: str, role: Role, stack: str) -> None:
    raise pulumi.RunError(
        f"The {role.name} are on node {home.name} ({home.id}), and the label {label} is on"
        f" {holder.name} ({holder.id}), which would start with an empty volume. If that is a"
        " mistake, type:\n"
        f"      docker node update --label-rm {label} {holder.id}\n"
        f"      docker node update --label-add {label}=true {home.id}\n"
        f"  If the {role.name} are on {holder.name} by now:\n"
        f"      {config_command(stack, 'set')} registry:{role.prefix}Node {holder.name}\n"
        f"      {config_command(stack, 'set')} registry:{role.prefix}MovedFrom {home.name}\n"
        f"  If they shall go back from there to {home.name}, copy them, then:\n"
        f"      {config_command(stack, 'set')} registry:{role.prefix}MovedFrom {holder.name}"
    )


def _named(nodes: Sequence[Node], wanted: str, role: Role, stack: str) -> Node:
    matching = [node for node in nodes if wanted in (node.id, node.name)]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(sorted(f"{node.name} ({node.id})" for node in nodes))
    what = "no node of the swarm" if not matching else f"the name of {len(matching)} nodes"
    key = f"registry:{role.prefix}Node"
    raise pulumi.RunError(
        f"{key} is {wanted!r}, which is {what}. There are: {names}. Type:\n"
        f"      {config_command(stack, 'set')} {key} ID"
    )


def _any_usable(
    nodes: Sequence[Node],
    label: str,
    constraints: Iterable[str],
    apart_from: str | None,
    role: Role,
) -> Node:
    wanted = list(constraints)
    usable = [node for node in nodes if node.usable and all(fits(node, each) for each in wanted)]
    if not usable:
        names = ", ".join(f"{node.name} {obstacle(node, wanted)}" for node in nodes)
        raise pulumi.RunError(
            f"No node of the swarm can take the volume of the {role.name}: {names}."
        )
    # A manager that was cut off makes the others elect a leader, and its tasks wait for that.
    candidates = [node for node in usable if not node.manager] or usable
    candidates = [node for node in candidates if node.id != apart_from] or candidates
    # Rendezvous hashing: another node that joins changes the choice for few labels only.
    return max(candidates, key=lambda node: hashlib.sha256(f"{label} {node.id}".encode()).digest())


def obstacle(node: Node, constraints: Iterable[str]) -> str:
    """Return why Swarm would start no task with `constraints` on `node`; empty when it would."""
    if not node.usable:
        return f"is {_condition(node)}"
    unmet = " and ".join(each for each in constraints if not fits(node, each))
    return f"isn't {unmet}" if unmet else ""


def fits(node: Node, constraint: str) -> bool:
    """Return whether `node` meets a placement constraint, as Swarm compares: case aside."""
    found = re.fullmatch(r"\s*(\S+?)\s*(==|!=)\s*(\S+)\s*", constraint)
    if found is None:
        return False
    key, operator, value = found.groups()
    match key.lower().split("."):
        case ["node", "id"]:
            actual = node.id
        case ["node", "hostname"]:
            actual = node.name
        case ["node", "role"]:
            actual = "manager" if node.manager else "worker"
        case ["node", "platform", "os"]:
            actual = node.os
        case ["node", "platform", "arch"]:
            actual = node.architecture
        case ["node", "labels", *_]:
            actual = node.labels.get(key.split(".", 2)[2], "")
        case ["engine", "labels", *_]:
            actual = node.engine_labels.get(key.split(".", 2)[2], "")
        case _:
            return False
    return (actual.lower() == value.lower()) == (operator == "==")


def _condition(node: Node) -> str:
    if node.state != "ready":
        return node.state
    return {"drain": "drained", "pause": "paused"}.get(node.availability, node.availability)


def _remedy(node: Node) -> str:
    if node.state != "ready":
        return (
            "Bring that machine, its network or its engine back; `docker node ls` shows when it is"
            " ready."
        )
    return f"Bring it back first:\n      docker node update --availability active {node.id}"
