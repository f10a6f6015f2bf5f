"""A new environment, made from one that is there: `make env NAME=preprod FROM=stag DOMAIN=…`."""

from __future__ import annotations

import re

from ops import stack, state
from ops.console import Problem, run, say

OF_ONE_STACK = (
    *("volumeName", "volumeNode", "volumeMovedFrom"),
    *("certificatesName", "certificatesNode", "certificatesMovedFrom"),
)
"""Settings that say where a stack's own data are: a copy would share them."""


def make(name: str, source: str, domain: str) -> None:
    """Makes the stack `name` with the settings of `source`, secrets encrypted anew by Pulumi."""
    known = stack.names()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise Problem(f"NAME={name}: letters, digits, '-', '_' and '.', such as preprod")
    if name in known or stack.file_of(name).exists():
        raise Problem(f"there is an environment {name} already")
    if not stack.file_of(source).exists():
        raise Problem(f"FROM={source}: there is no {stack.file_of(source).name}")
    stack.init(source)
    values = state.config(source)
    run(["pulumi", "stack", "init", "--no-select", name, "--copy-config-from", source])
    old = values["registry:stackName"]
    changes = {
        "registry:stackName": renamed(old, source, name),
        "registry:traefikTag": renamed(values.get("registry:traefikTag", old), source, name),
        "registry:domain": domain,
    }
    for key, value in changes.items():
        run(["pulumi", "config", "set", "--stack", name, key, value])
    for key in OF_ONE_STACK:
        if f"registry:{key}" in values:
            run(["pulumi", "config", "rm", "--stack", name, f"registry:{key}"])
    say(f"{stack.file_of(name).name} is there: look at it, then `make deploy STACK={name}`")


def renamed(text: str, source: str, name: str) -> str:
    """`stag-registry-com` of `stag` is `preprod-registry-com` of `preprod`."""
    words = re.split(r"([.-])", text)
    if source in words:
        return "".join(name if word == source else word for word in words)
    separator = "." if "." in text else "-"
    return f"{name}{separator}{text}"
