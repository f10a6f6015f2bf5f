"""What is on the swarm already when this stack is about to make it: taken over, or refused.

Swarm knows services and networks by their names alone. One of a name that this stack wants, and
that its state doesn't know, is another's: the state was lost, another checkout deployed it, or
somebody made it by hand.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pulumi

from components.run.deployed import Deployed
from components.swarm.inspect import Swarm

SERVICE = "docker:index/service:Service"
NETWORK = "docker:index/network:Network"


def owned(
    swarm: Swarm, deployed: Deployed, taken: Mapping[str, str], stack: str
) -> pulumi.ResourceTransformation:
    """Return what holds each service and network against what is on the swarm.

    It goes into the options of the outermost components. What is in `taken` (ids by name) is
    imported, and then changed to what is wanted. Else one that is there already, and that the
    state doesn't know, is a `RunError`, before anything is touched.
    """
    there: dict[str, Mapping[str, object]] = {SERVICE: swarm.services, NETWORK: swarm.networks}

    def transform(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        kind, name = args.type_, str(args.props.get("name"))
        if name not in there.get(kind, ()) or deployed.has(kind, args.name):
            return None
        if name not in taken:
            raise pulumi.RunError(_refusal(kind, name, args.name, stack))
        opts = copy.copy(args.opts)
        opts.import_ = taken[name]
        return pulumi.ResourceTransformationResult(args.props, opts)

    return transform


def _refusal(kind: str, name: str, resource: str, stack: str) -> str:
    what = "service" if kind == SERVICE else "network"
    join = (
        "  If it was made by hand, or is another stack's, join it:\n"
        f"      pulumi config set --stack {stack} registry:createNetwork false\n"
        if resource == "network-overlay"
        else ""
    )
    return (
        f"The {what} {name} is on this swarm already, and this state doesn't know it: the stack's"
        " state was lost, or another checkout or backend has it. Nothing was changed.\n"
        f"{join}"
        "  To take over what was deployed, with its images:\n"
        f"      make recover STACK={stack}\n"
        "  To deploy beside it, choose another registry:stackName and registry:network."
    )
