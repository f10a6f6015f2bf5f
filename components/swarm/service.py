"""How a Swarm service is made: what every service here has alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.swarm.stack import SwarmStack, namespace_labels, service_labels
from components.swarm.task import Order, update_and_rollback


@dataclass(frozen=True, kw_only=True)
class SwarmService:
    """A Swarm service, and what it was declared with."""

    resource: docker.Service
    task: docker.ServiceTaskSpecArgs
    endpoint: docker.ServiceEndpointSpecArgs
    """The ports that it publishes."""


def swarm_service(
    name: str,
    *,
    stack: SwarmStack,
    service: str,
    task: docker.ServiceTaskSpecArgs,
    order: Order,
    opts: pulumi.ResourceOptions,
    labels: Mapping[str, str] | None = None,
    replicas: int | None = 1,
    ports: Sequence[docker.ServiceEndpointSpecPortArgs] | None = None,
) -> SwarmService:
    """Declare the service `<stack>_<service>`; `replicas=None` is one on every node that fits.

    Without `labels` Traefik leaves it alone.
    """
    if replicas is None:
        mode = docker.ServiceModeArgs(global_=True)
    else:
        replicated = docker.ServiceModeReplicatedArgs(replicas=replicas)
        mode = docker.ServiceModeArgs(replicated=replicated)
    # Traefik and Redis' clients ask for the tasks; no virtual address, no routing mesh.
    endpoint = docker.ServiceEndpointSpecArgs(mode="dnsrr", ports=ports)
    update, rollback = update_and_rollback(order)
    resource = docker.Service(
        name,
        name=service_name(stack.name, service),
        labels=service_labels(
            namespace_labels(stack.name) | dict(labels or {"traefik.enable": "false"})
        ),
        task_spec=task,
        mode=mode,
        endpoint_spec=endpoint,
        update_config=update,
        rollback_config=rollback,
        opts=pulumi.ResourceOptions.merge(
            # The provider notes the image's platforms at creation, and misses them ever after.
            pulumi.ResourceOptions(ignore_changes=["taskSpec.placement.platforms"]),
            opts,
        ),
    )
    return SwarmService(resource=resource, task=task, endpoint=endpoint)


MAX_SERVICE_NAME = 63
"""Characters that Swarm takes."""


def service_name(stack_name: str, service: str) -> str:
    """Return what Docker calls the stack's `service`."""
    return f"{stack_name}_{service}"
