"""One step of a preview: kind and name of its resource, and what is done to it.

A step is the `metadata` of a `resourcePreEvent` in the events of `pulumi preview --json`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Step = Mapping[str, Any]

SERVICE = "docker:index/service:Service"
DELETE_REPLACED = "delete-replaced"
IGNORED_OPERATIONS = ("read", "refresh", "create-replacement", DELETE_REPLACED)
"""Operations that accompany another one on the same resource, or change nothing."""
MAX_CHARACTERS = 200
"""Characters of one value that are shown."""

_OPERATIONS = {"update": "change", "same": ""}
"""Names of operations that differ from Pulumi's."""
_KINDS = {
    SERVICE: "service",
    "docker:index/network:Network": "network",
    "docker:index/volume:Volume": "volume",
    "docker:index/secret:Secret": "secret",
    "docker:index/serviceConfig:ServiceConfig": "config",
    "random:index/randomPassword:RandomPassword": "password",
    "pulumi:index:Stash": "storage",
}
# When a salt changes, so does the Swarm secret that is made with it, and when the stored digests of
# images change, so does a service: these have a row already.
_TYPES_NOT_SHOWN = ("random:index/randomBytes:RandomBytes",)
_IMAGE_DIGESTS = "::service-images"
_DIGEST = re.compile(r"(@sha256:[0-9a-f]{12})[0-9a-f]{52}")


def kind(step: Step) -> str:
    """Return `service`, `secret`, …; empty for components, providers and salts, which aren't shown.

    A type without a name of its own is returned as it is.
    """
    type_ = str(step["type"])
    if not state(step).get("custom") or type_.startswith("pulumi:providers:"):
        return ""
    if type_ in _TYPES_NOT_SHOWN or str(step["urn"]).endswith(_IMAGE_DIGESTS):
        return ""
    return _KINDS.get(type_, type_)


def operation(step: Step) -> str:
    """Return `create`, `change`, `replace`, `delete`, …; empty when the resource stays the same."""
    name = str(step["op"])
    return _OPERATIONS.get(name, name)


def resource(step: Step) -> str:
    """Return kind and name of the resource; the name that `docker` shows, where there is one."""
    urn_name = str(step["urn"]).rpartition("::")[2]
    name = str(inputs(step).get("name") or urn_name)
    match kind(step):
        case "secret" | "config":
            # Docker's name ends in a random text, which the deployment draws anew.
            name = urn_name
        case "password":
            parent = str(state(step).get("parent", "")).rpartition("::")[2]
            name = urn_name.removeprefix(f"{parent}-")
        case "storage":
            name = urn_name.removesuffix("-place")
    return f"{kind(step)} {code(name)}"


def state(step: Step) -> Mapping[str, Any]:
    """Return the resource's new state, or its old one when it is deleted."""
    return step.get("new") or step.get("old") or {}


def inputs(step: Step) -> Mapping[str, Any]:
    """Return the inputs of `state`."""
    return state(step).get("inputs") or {}


def old_inputs(step: Step) -> Mapping[str, Any]:
    """Return the resource's inputs before the step; none when it is created."""
    return (step.get("old") or {}).get("inputs") or {}


def is_retained(step: Step) -> bool:
    """Return whether Docker keeps the resource when Pulumi deletes it."""
    return bool((step.get("old") or {}).get("retainOnDelete"))


def code(text: str) -> str:
    """Return `text`, shortened, as a code span that can stand in a cell of a table."""
    text = _DIGEST.sub(r"\1…", " ".join(text.split()))
    text = text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"
