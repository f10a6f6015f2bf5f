"""What the lines are made of: one look at a stack's settings, its state, and its swarm."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any

from components.swarm import NAMESPACE
from components.swarm.task_state import moment
from ops import checkpoint, history, inventory
from ops.checkpoint import Checkpoint
from ops.config import Config
from ops.outputs import StackOutputs

if TYPE_CHECKING:
    from docker import APIClient

    from ops.stack import Stack

SERVICE = "docker:index/service:Service"
_Raw = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A stack as it was deployed last."""

    stack: str
    config: Config
    outputs: StackOutputs
    state: Checkpoint
    history: Sequence[_Raw] = ()
    """Its last updates, as Pulumi notes them, the newest first."""
    now: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    """This machine's clock."""

    @property
    def services(self) -> Mapping[str, _Raw]:
        """Inputs of its services, by the names that Docker has for them."""
        inputs = [each["inputs"] for each in self.state.resources if each["type"] == SERVICE]
        return {str(each["name"]): each for each in inputs}

    def short(self, service: str) -> str:
        """Return a service's name without the stack's."""
        return service.removeprefix(f"{self.config.swarm_stack}_")

    @property
    def put_back(self) -> str:
        """The command that undoes what was changed by hand."""
        return f"pulumi up --refresh --run-program --stack {self.stack}"


@dataclass(frozen=True, kw_only=True)
class Swarm:
    """The swarm, in the engine's own words."""

    client: APIClient
    now: datetime
    """The engine's clock, which its moments go by."""
    node_id: str
    """Node of the engine that answers."""
    nodes: Sequence[_Raw]
    services: Mapping[str, _Raw]
    """Services of the stack, by name."""
    tasks: Sequence[_Raw]
    """Their tasks, also those that have ended, as far as Swarm keeps them."""
    ids: Mapping[str, frozenset[str]]
    """Ids of all `services`, `networks` and `secrets`."""

    @property
    def node_names(self) -> Mapping[str, str]:
        """Host names by id."""
        return {raw["ID"]: raw["Description"]["Hostname"] for raw in self.nodes}

    def tasks_of(self, service: str) -> list[_Raw]:
        """Return the tasks of a service that is there."""
        id_ = self.services[service]["ID"]
        return [task for task in self.tasks if task["ServiceID"] == id_]

    def running(self, service: str) -> list[_Raw]:
        """Return those that run, and shall."""
        if service not in self.services:
            return []
        return [
            task
            for task in self.tasks_of(service)
            if task["Status"]["State"] == task["DesiredState"] == "running"
        ]


def deployed(stack: Stack) -> Deployed:
    """Return the stack; a UserError where it isn't deployed."""
    # Commands of Pulumi's that take most of a second each, and an import.
    with ThreadPoolExecutor() as pool:
        pool.submit(import_module, inventory.CLIENT)
        state = pool.submit(checkpoint.read, stack.name)
        entries = pool.submit(history.entries, stack.name)
        config = pool.submit(lambda: stack.config)
        return Deployed(
            stack=stack.name,
            outputs=stack.outputs,
            state=state.result(),
            history=entries.result(),
            config=config.result(),
        )


@contextlib.contextmanager
def swarm_of(stack: Stack, services: Sequence[str], cluster: str = "") -> Iterator[Swarm]:
    """Yield the stack's swarm; a UserError where no manager of it answers.

    `services` are those of its state: what has another label now is still the stack's. `cluster` is
    the swarm's id in the state, if one was noted.
    """
    endpoint = stack.endpoint
    with inventory.connected(stack.name, endpoint) as client:
        about = inventory.about_swarm(stack.name, endpoint.host, client, cluster)
        services_of_all = client.services()
        ours = {
            raw["Spec"]["Name"]: raw
            for raw in services_of_all
            if (raw["Spec"].get("Labels") or {}).get(NAMESPACE) == stack.config.swarm_stack
            or raw["Spec"]["Name"] in services
        }
        networks = client.networks(filters={"driver": "overlay"})
        yield Swarm(
            client=client,
            now=moment(about["SystemTime"]),
            node_id=about["Swarm"]["NodeID"],
            nodes=client.nodes(),
            services=ours,
            # Without a filter they would be those of all services.
            tasks=client.tasks({"service": [raw["ID"] for raw in ours.values()]}) if ours else [],
            ids={
                "services": frozenset(raw["ID"] for raw in services_of_all),
                "networks": frozenset(raw["Id"] for raw in networks),
                "secrets": frozenset(raw["ID"] for raw in client.secrets()),
            },
        )
