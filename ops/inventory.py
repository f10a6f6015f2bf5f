"""What is on a stack's swarm, as far as a state could know it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.run.commands import for_stack
from ops.bootstrap import ROOT, state, virtualenv
from ops.bootstrap.console import LIMIT_SECONDS, Problem

NAMESPACE = "com.docker.stack.namespace"
"""Label by which `docker stack` finds what belongs together."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A service, network or secret."""

    id: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    networks: frozenset[str] = frozenset()
    """Ids of the networks that a service is on."""
    secrets: frozenset[str] = frozenset()
    """Ids of the secrets that a service uses."""
    constraints: tuple[str, ...] = ()
    """Placement constraints of a service."""


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What is on the swarm, of all stacks."""

    cluster: str = ""
    """The swarm's id."""
    services: tuple[Item, ...] = ()
    networks: tuple[Item, ...] = ()
    secrets: tuple[Item, ...] = ()
    volumes: frozenset[str] = frozenset()
    """Names of the volumes on the engine that is talked to."""
    node_labels: tuple[Mapping[str, str], ...] = ()
    """Labels of each node."""

    def ids(self, kind: str) -> set[str]:
        """Ids of the `services`, `networks` or `secrets`."""
        items: Sequence[Item] = getattr(self, kind)
        return {item.id for item in items}

    def has_label(self, label: str) -> bool:
        """Whether `label` is true of a node; Swarm compares without regard to case."""
        return any(labels.get(label, "").lower() == "true" for labels in self.node_labels)


def take(
    stack: str,
    remove: Mapping[str, Sequence[str]] | None = None,
    config: Mapping[str, str] | None = None,
) -> Inventory:
    """Return what is on the swarm of the stack's settings, after `remove` (ids by kind) is gone.

    What is in use stays. `config` is `state.config` of the stack, where it is known already. A
    Problem when no manager answers.
    """
    config = state.config(stack) if config is None else config
    # Only these are needed in plain text, and most stacks have none.
    if any(key.startswith("docker:") and not value for key, value in config.items()):
        config = state.config(stack, secrets=True)
    asked = {"stack": stack, "config": config, "remove": dict(remove or {})}
    looked = subprocess.run(
        [virtualenv.FOLDER / "bin" / "python", "-m", "ops.look"],
        cwd=ROOT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    if looked.returncode != 0:
        raise Problem(for_stack(looked.stderr.strip(), stack))
    return _inventory(looked.stdout)


def _inventory(text: str) -> Inventory:
    raw = json.loads(text)

    def items(kind: str) -> tuple[Item, ...]:
        return tuple(
            Item(
                id=each["id"],
                name=each["name"],
                labels=each["labels"],
                networks=frozenset(each.get("networks", ())),
                secrets=frozenset(each.get("secrets", ())),
                constraints=tuple(each.get("constraints", ())),
            )
            for each in raw[kind]
        )

    return Inventory(
        cluster=raw["cluster"],
        services=items("services"),
        networks=items("networks"),
        secrets=items("secrets"),
        volumes=frozenset(raw["volumes"]),
        node_labels=tuple(raw["node_labels"]),
    )
