"""Steps and reports of previews."""

from __future__ import annotations

import json
from typing import Any

from ops.review.differences import SIGNATURE

SERVICE = "docker:index/service:Service"
HIDDEN = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "AAABhidden"}


def step(
    op: str,
    type_: str,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a step whose outputs are its inputs."""
    urn = f"urn:pulumi:stag::registry::{type_}::it"
    states = {
        name: inputs and {"custom": True, "inputs": inputs, "outputs": inputs, **more}
        for name, inputs in (("old", old), ("new", new))
    }
    return {"op": op, "urn": urn, "type": type_, "detailedDiff": None, **states, **more}


def stream(*steps: dict[str, Any], **others: dict[str, Any]) -> str:
    """Return the events that a preview prints."""
    events: list[dict[str, Any]] = [{"resourcePreEvent": {"metadata": each}} for each in steps]
    return "\n".join(map(json.dumps, [*events, *({name: other} for name, other in others.items())]))


def labels(**values: str) -> list[dict[str, str]]:
    return [{"label": key, "value": values[key]} for key in sorted(values)]
