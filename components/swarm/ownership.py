"""What is on the swarm already when this stack is about to make it: taken over, or refused.

Swarm knows services and networks by their names alone. One of a name that this stack wants, and
that its state doesn't know, is another's: the state was lost, another checkout deployed it, or
somebody made it by hand.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pulumi

from components.errors import AlreadyThereError
from components.run.deployed import Deployed
from components.swarm.inspect import Swarm

SERVICE = "docker:index/service:Service"
NETWORK = "docker:index/network:Network"
PUBLIC_NETWORK = "network-overlay"
"""Pulumi's name of the network that other stacks may join."""


def owned(
    swarm: Swarm, deployed: Deployed, imports: Mapping[str, str]
) -> pulumi.ResourceTransformation:
    """Return what holds each service and network against what is on the swarm.

    It goes into the options of the outermost components. What is in `imports` (ids by name) is
    imported, and then changed to what is wanted. Else one that is there already, and that the
    state doesn't know, is an `AlreadyThereError`, before anything is touched.
    """
    there: dict[str, Mapping[str, object]] = {SERVICE: swarm.services, NETWORK: swarm.networks}

    def transform(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        kind, name = args.type_, str(args.props.get("name"))
        if name not in there.get(kind, ()) or deployed.has(kind, args.name):
            return None
        if name not in imports:
            raise AlreadyThereError(
                kind="service" if kind == SERVICE else "network",
                name=name,
                is_public_network=args.name == PUBLIC_NETWORK,
            )
        opts = copy.copy(args.opts)
        opts.import_ = imports[name]
        return pulumi.ResourceTransformationResult(args.props, opts)

    return transform
