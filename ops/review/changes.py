"""The changes that a step makes, as lines for a reviewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.swarm.location import described, is_move
from ops.review import differences
from ops.review.differences import flat, title
from ops.review.step import Step, code, inputs, is_retained, kind, old_inputs, operation

START_SECONDS = 10
"""Typical time from the creation of a service to its first answer."""

_SECRET_KINDS = {
    "token-config": "configuration, with the rules of registry:access",
    "token-key": "key that signs tokens",
    "config": "configuration",
    "htpasswd": "login",
    "users": "login",
    "jwks": "keys of the tokens that count",
}
"""Kinds of Swarm secrets, by the ends of their names, the longer ones first."""


def changes(step: Step, *, deleted_first: bool = False) -> list[str]:
    """Return one line for each change.

    `deleted_first`: the step replaces a resource, whose old one is deleted before the new one is
    made.
    """
    first = [f"**{sentence}**" for sentence in gap(step)] if deleted_first else []
    return [*first, *_changes(step)]


def gap(step: Step) -> list[str]:
    """Return the consequences of deleting a resource before its new one is made."""
    name = kind(step)
    begin = f"the {name} is deleted before the new one is made"
    match name:
        case "service":
            stop = flat(old_inputs(step)).get(("taskSpec", "containerSpec", "stopGracePeriod"))
            ending = f", and up to {stop} more while its old tasks end" if stop else ""
            return [
                f"{begin}: it is away for about {START_SECONDS} s{ending}; if the new one fails,"
                " there is no rollback"
            ]
        case "network":
            return [f"{begin}, and so is each service on it; on another stack's, this fails"]
        case "volume" if not is_retained(step):
            return [f"{begin}, with all that is in it"]
        case "volume":
            return []
    return [begin]


def _changes(step: Step) -> list[str]:
    match kind(step), operation(step):
        case "volume", "delete":
            retained = "forgotten; the images stay in it"
            return [retained if is_retained(step) else "**with all images in it**"]
        case _, "delete":
            return []
        case "password", _:
            return ["a new one is generated"]
        case "secret" | "config", _:
            return list(_secret_changes(step))
        case "storage", _:
            return list(_placement(step))
        case "service", "create":
            return [
                title(path)
                if value in path
                else f"{title(path)}: {differences.value_text(path, value)}"
                for path, value in differences.by_importance(flat(inputs(step)))
                if _matters_when_new(path)
            ]
        case "service", "change":
            lines = differences.differences(step)
            parts = {path[0] for path, _ in lines if path}
            return [*(line for _, line in lines), *_tasks(step, parts)]
        case "network", "create":
            return [
                ", ".join([str(inputs(step).get("driver")), *(inputs(step).get("options") or {})])
            ]
        case _, "create":
            return []
    return [line for _, line in differences.differences(step)]


def _matters_when_new(path: differences.Path) -> bool:
    match path:
        case ("labels", label, "value"):
            return label.startswith("traefik.http.routers.") and not label.endswith(".service")
        case (*_, "image") | (*_, "publishedPort") | (*_, "constraints") | (*_, "limits", _):
            return True
        case (*_, "mounts", _, "source"):
            return True
    return False


def _secret_changes(step: Step) -> Iterator[str]:
    reasons = step.get("keys") or ["data"]
    if "data" in reasons:
        urn = str(step["urn"])
        kinds = (name for end, name in _SECRET_KINDS.items() if urn.endswith(f"-{end}"))
        yield f"new {next(kinds, 'content')}"
    yield from (f"{reason} changed" for reason in reasons if reason != "data")


def _placement(step: Step) -> Iterator[str]:
    """Yield where the data are, and in bold where they would move."""
    old, new = _stored(old_inputs(step)), _stored(inputs(step))
    if not old:
        yield f"in {code(described(new))}" + (
            f", by its label {code(label + '=true')}" if (label := new.get("label")) else ""
        )
    elif is_move(old, new):
        yield f"**moves** from {code(described(old))} to {code(described(new))}"
    elif old.get("cluster") != new.get("cluster"):
        yield f"the state remembers swarm {code(str(new.get('cluster')))}"
    else:
        yield f"in {code(described(new))}"


def _stored(stash: Mapping[str, Any]) -> Mapping[str, Any]:
    value = stash.get("input")
    return value if isinstance(value, dict) else {}


def _tasks(step: Step, parts: set[str]) -> Iterator[str]:
    """Yield what happens to the running tasks, which users of the service notice."""
    if parts == {"labels"}:
        yield "its task runs on"
    elif "taskSpec" not in parts:
        return
    elif (inputs(step).get("updateConfig") or {}).get("order") == "start-first":
        yield "a new task takes over from the old one"
    else:
        yield "**the old task stops before the new one starts**"
