"""The line about the swarm's nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops.status.line import Line
from ops.status.snapshot import Deployed, Swarm


def node_lines(_: Deployed, swarm: Swarm) -> list[Line]:
    """Return a line that names the nodes on which Swarm starts nothing."""
    managers = [raw for raw in swarm.nodes if raw["Spec"]["Role"] == "manager"]
    text = f"{_count(len(swarm.nodes), 'node')}, {_count(len(managers), 'manager')}"
    out = [
        f"{raw['Description']['Hostname']} is {reason}"
        for raw in swarm.nodes
        if (reason := _reason(raw))
    ]
    lost = [raw for raw in managers if _is_lost(raw)]
    if out and managers and len(managers) - len(lost) == len(managers) // 2 + 1 and lost:
        out.append("no other manager may fail")
    return [
        Line(
            title="nodes",
            state="warning" if out else "ok",
            text="; ".join([text, *out]),
            commands=("docker node ls",) if out else (),
            facts={"nodes": len(swarm.nodes), "unusable": len([*filter(_reason, swarm.nodes)])},
        )
    ]


def _reason(raw: Mapping[str, Any]) -> str:
    """Return why Swarm starts nothing on a node; empty when it does."""
    state, availability = raw["Status"]["State"], raw["Spec"]["Availability"]
    if state != "ready":
        return str(state)
    return {"pause": "paused", "drain": "drained"}.get(availability, "")


def _is_lost(raw: Mapping[str, Any]) -> bool:
    return (raw.get("ManagerStatus") or {}).get("Reachability") != "reachable"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
