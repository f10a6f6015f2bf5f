"""The line that compares the swarm with the state.

It compares what a person changes by hand: what is there, and how services are specified. `make
drift`, which runs the program and takes several times as long, compares everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.swarm.summary import differences, expected_summary
from ops.checkpoint import KINDS
from ops.inventory import JOB
from ops.review.differences import SIGNATURE
from ops.status.line import Line
from ops.status.snapshot import Deployed, Swarm

PLAIN = ("env", "options")
"""Fields whose keys are a user's own, not Pulumi's."""
_Raw = Mapping[str, Any]


def drift_lines(stack: Deployed, swarm: Swarm) -> list[Line]:
    """Return a line that names what differs; no values, which may be secrets."""
    changes = [*_missing(stack, swarm), *_changed(stack, swarm), *_strange(stack, swarm)]
    if changes:
        return [
            Line(
                title="drift",
                state="wrong",
                text="; ".join(changes),
                commands=(f"make drift STACK={stack.stack}", stack.put_back),
                facts={"changes": changes},
            )
        ]
    text = "services are specified as they were deployed; no network or secret is missing"
    return [Line(title="drift", state="ok", text=text)]


def _missing(stack: Deployed, swarm: Swarm) -> Iterator[str]:
    for each in stack.state.on_swarm:
        kind = KINDS[each["type"]]
        if each["id"] not in swarm.ids[kind]:
            name = str((each.get("inputs") or {}).get("name") or each["id"])
            yield f"{kind[:-1]} {stack.short(name)} is gone"


def _changed(stack: Deployed, swarm: Swarm) -> Iterator[str]:
    for name, inputs in sorted(stack.services.items()):
        service = swarm.services.get(name)
        if service and (parts := changed_parts(inputs, service["Spec"])):
            yield f"{stack.short(name)} has other {', '.join(parts)}"


def _strange(stack: Deployed, swarm: Swarm) -> Iterator[str]:
    for name in sorted(swarm.services.keys() - stack.services.keys()):
        # A job is one run of something, and goes with its end.
        if not stack.short(name).startswith(JOB):
            yield f"service {stack.short(name)} isn't in the state"


def changed_parts(inputs: _Raw, spec: _Raw) -> list[str]:
    """Return the parts of a service's specification that aren't those of its inputs."""
    parts = changed_parts_of_tasks(inputs, spec)
    declared = (inputs.get("mode") or {}).get("replicated") or {}
    if declared.get("replicas") != spec["Mode"].get("Replicated", {}).get("Replicas"):
        parts.append("number of replicas")
    if _has_other_labels(inputs.get("labels") or [], spec.get("Labels") or {}):
        parts.append("labels")
    return parts


def changed_parts_of_tasks(inputs: _Raw, spec: _Raw) -> list[str]:
    """Return those for which a service's tasks would be replaced, and its ports."""
    endpoint = Recorded(inputs["endpointSpec"]) if inputs.get("endpointSpec") else None
    expected = expected_summary(Recorded(inputs["taskSpec"]), endpoint)
    comparable = {name: part for name, part in expected.items() if SIGNATURE not in repr(part)}
    return differences(spec, comparable)


def _has_other_labels(expected: Any, labels: _Raw) -> bool:
    if SIGNATURE in expected:
        return False
    values = {each["label"]: each["value"] for each in expected}
    return values.keys() != labels.keys() or any(
        labels[name] != value for name, value in values.items() if SIGNATURE not in value
    )


class Recorded:
    """Inputs of the state, with attributes as Pulumi's classes of arguments have them."""

    def __init__(self, values: _Raw) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        key = re.sub(r"_(\w)", lambda match: match[1].upper(), name)
        return _wrapped(self._values.get(key), plain=name in PLAIN)


def _wrapped(value: Any, *, plain: bool) -> Any:
    if isinstance(value, Mapping) and not plain:
        return SIGNATURE if SIGNATURE in value else Recorded(value)
    if isinstance(value, list):
        return [_wrapped(each, plain=plain) for each in value]
    return value
