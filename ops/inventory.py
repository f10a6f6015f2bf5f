"""What is on a stack's swarm, as far as a state could know it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.swarm.endpoint import Endpoint, EndpointError
from components.swarm.manager import require_manager
from ops.bootstrap.console import UserError

if TYPE_CHECKING:
    from docker import APIClient

    from ops.stack import Stack

CLIENT = "components.swarm.client"
"""Imports the docker SDK, which takes 0.2 s: whoever has else to wait imports it meanwhile."""

JOB = "job-"
"""Begins the names, after the stack's, of services that run once (`ops/job.py`)."""

_Raw = Mapping[str, Any]


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
    """Services, networks and secrets of the swarm, of all stacks, and the engine's volumes."""

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
        """Return the ids of the `services`, `networks` or `secrets`."""
        items: Sequence[Item] = getattr(self, kind)
        return {item.id for item in items}

    def has_label(self, label: str) -> bool:
        """Return whether `label` is true of a node; Swarm compares without regard to case."""
        return any(labels.get(label, "").lower() == "true" for labels in self.node_labels)


def take(
    stack: str, endpoint: Endpoint, remove: Mapping[str, Sequence[str]] | None = None
) -> Inventory:
    """Return what is on the stack's swarm, after `remove` (ids by kind) is gone.

    What is in use stays. Raises UserError when there is no manager of a swarm at `endpoint`.
    """
    with connected(stack, endpoint) as client:
        about = client.info()
        require_manager(endpoint.host, about["Swarm"], about.get("SecurityOptions") or [])
        _remove(client, remove or {})
        return Inventory(
            cluster=about["Swarm"]["Cluster"]["ID"],
            services=tuple(map(_service, client.services())),
            networks=tuple(map(_network, client.networks(filters={"driver": "overlay"}))),
            secrets=tuple(Item(**_names(raw)) for raw in client.secrets()),
            volumes=_volumes(client),
            node_labels=tuple(raw["Spec"].get("Labels") or {} for raw in client.nodes()),
        )


def about_swarm(stack: str, host: str, client: APIClient, before: str) -> Mapping[str, Any]:
    """Return what the engine at `host` says of itself: it manages the swarm of the stack.

    `before` is the id of the swarm that the stack was deployed to; empty where none was noted.
    Another swarm is a UserError: its services may have the same names. A worker is an
    `EndpointError`.
    """
    about: Mapping[str, Any] = client.info()
    require_manager(host, about["Swarm"], about.get("SecurityOptions") or [])
    cluster = about["Swarm"]["Cluster"]["ID"]
    if before not in ("", cluster):
        # These import Pulumi's SDK, which takes a while.
        from components.errors import AnotherSwarmError
        from settings.remedies import explain

        error = AnotherSwarmError(before=before, cluster=cluster, host=host)
        raise UserError(explain(error, stack))
    return about


def require_swarm_of(stack: Stack, client: APIClient) -> None:
    """Raise as `about_swarm` does unless the engine manages the swarm of the stack."""
    about_swarm(stack.name, stack.endpoint.host, client, stack.cluster)


@contextlib.contextmanager
def connected(stack: str, endpoint: Endpoint) -> Iterator[APIClient]:
    """Yield a client of the stack's engine; a UserError says what to type when there is none."""
    from components.swarm import client

    try:
        with client.connected(endpoint) as api:
            yield api
    except EndpointError as error:
        # Imports Pulumi's SDK, which takes a while.
        from settings.remedies import explain

        raise UserError(explain(error, stack)) from error


def _remove(client: APIClient, ids: Mapping[str, Sequence[str]]) -> None:
    from docker.errors import APIError

    remove = {
        "services": client.remove_service,
        "networks": client.remove_network,
        "secrets": client.remove_secret,
    }
    for kind, each in ((kind, each) for kind, some in ids.items() for each in some):
        # What is in use stays, and what is gone already is as it shall be.
        with contextlib.suppress(APIError):
            remove[kind](each)


def _volumes(client: APIClient) -> frozenset[str]:
    from docker.errors import APIError

    # A filtered socket may keep these back from stacks that have none.
    with contextlib.suppress(APIError):
        return frozenset(raw["Name"] for raw in client.volumes()["Volumes"] or [])
    return frozenset()


def _service(raw: _Raw) -> Item:
    task = raw["Spec"]["TaskTemplate"]
    secrets: Sequence[_Raw] = (task.get("ContainerSpec") or {}).get("Secrets") or []
    return Item(
        **_names(raw),
        networks=frozenset(network["Target"] for network in task.get("Networks") or []),
        secrets=frozenset(secret["SecretID"] for secret in secrets),
        constraints=tuple((task.get("Placement") or {}).get("Constraints") or ()),
    )


def _network(raw: _Raw) -> Item:
    return Item(id=raw["Id"], name=raw["Name"], labels=raw.get("Labels") or {})


def _names(raw: _Raw) -> dict[str, Any]:
    spec = raw["Spec"]
    return {"id": raw["ID"], "name": spec["Name"], "labels": spec.get("Labels") or {}}
