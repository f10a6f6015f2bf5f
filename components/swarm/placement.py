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

from components.errors import (
    DataElsewhereError,
    LabelAmbiguousError,
    LabelMovedError,
    LabelValueError,
    MoveCutOffError,
    NodeGoneError,
    NodeUnavailableError,
    NodeUnknownError,
    NoNodeError,
)
from components.swarm.inspect import Node, holds
from components.swarm.location import IMAGES, Role, names_of

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
    named = _named(nodes, wanted, role) if wanted is not None else None
    has_consent = holder is not None and consent in (holder.id, holder.name)
    if remembered is None:
        node = named or holder or _any_usable(nodes, label, constraints, apart_from, role)
        if holder is None and named is None:
            _refuse_other_values(nodes, label)
        if holder and holder.id != node.id and not has_consent:
            raise DataElsewhereError(role=role, wanted=wanted or "", label=label, holder=holder)
    else:
        home = next((node for node in nodes if node.id == remembered["nodeId"]), None)
        moves = consent in names_of(remembered)
        # Whoever copies a volume may move its label, and then say so.
        chosen = named or (holder if moves else None) or home
        if chosen is None:
            raise NodeGoneError(
                role=role, node=remembered["node"], node_id=str(remembered["nodeId"])
            )
        node = chosen
        if holder and holder.id != node.id and not has_consent:
            if home and holder.id == home.id:
                raise DataElsewhereError(role=role, wanted=wanted or "", label=label, holder=holder)
            if cut_off := move_cut_off(nodes, label, role):
                raise cut_off
            raise LabelMovedError(role=role, label=label, holder=holder, home=home or node)
    _refuse_unfit(node, constraints, role)
    return node


def _refuse_unfit(node: Node, constraints: Iterable[str], role: Role) -> None:
    """Raise when Swarm would start no task on the node that has the volume."""
    unmet = [text for text in constraints if not fits(node, text)]
    reason = ""
    if unmet:
        reason = (
            f"where {' and '.join(unmet)} doesn't hold: Swarm would start no task there. Change the"
            f" constraint, or move the {role.name} to a node where it holds."
        )
    elif not node.usable:
        reason = (
            f"which is {_condition(node)}: Swarm would start no task there. {_bring_back(node)}"
        )
    if reason:
        raise NodeUnavailableError(role=role, node=node, reason=reason)


def _holder(nodes: Sequence[Node], label: str, role: Role) -> Node | None:
    """Return the one node that Swarm takes for labelled, or None."""
    holders = holders_of(nodes, label)
    if len(holders) > 1:
        raise LabelAmbiguousError(role=role, label=label, nodes=holders)
    return holders[0] if holders else None


def holders_of(nodes: Sequence[Node], label: str) -> list[Node]:
    """Return the nodes on which `label` is true."""
    return [node for node in nodes if holds(node.labels, label)]


def left_label(label: str) -> str:
    """Return the label of the node that a move, which hasn't ended, takes data away from."""
    return f"{label}-left"


def move_cut_off(nodes: Sequence[Node], label: str, role: Role = IMAGES) -> MoveCutOffError | None:
    """Return the move that has taken the label to another node, and hasn't ended, if there is."""
    for old in holders_of(nodes, left_label(label)):
        for new in holders_of(nodes, label):
            if old.id != new.id:
                return MoveCutOffError(role=role, old=old, new=new)
    return None


def _refuse_other_values(nodes: Sequence[Node], label: str) -> None:
    """Raise where somebody may have meant a node by `1` or `yes`; a service asks for `true`."""
    for node in nodes:
        value = node.labels.get(label)
        if value is not None and value.lower() not in _NO:
            raise LabelValueError(label=label, value=value, node=node)


def _named(nodes: Sequence[Node], wanted: str, role: Role) -> Node:
    matches = [node for node in nodes if wanted in (node.id, node.name)]
    if len(matches) == 1:
        return matches[0]
    raise NodeUnknownError(role=role, wanted=wanted, matches=len(matches), nodes=nodes)


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
        raise NoNodeError(
            subject=f"the volume of the {role.name}",
            obstacles={node.name: obstacle(node, wanted) for node in nodes},
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
    parts = re.fullmatch(r"\s*(\S+?)\s*(==|!=)\s*(\S+)\s*", constraint)
    if parts is None:
        return False
    key, operator, value = parts.groups()
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


def _bring_back(node: Node) -> str:
    if node.state != "ready":
        return (
            "Bring that machine, its network or its engine back; `docker node ls` shows when it is"
            " ready."
        )
    return f"Bring it back first:\n      docker node update --availability active {node.id}"
