"""Overlay networks."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker

from components.swarm import NAMESPACE
from components.swarm.stack import SwarmStack


def overlay(
    name: str,
    network: str,
    stack: SwarmStack,
    parent: pulumi.Resource,
    *,
    encrypted: bool,
    attachable: bool | None = None,
    internal: bool | None = None,
) -> docker.Network:
    """Return the overlay network that Docker calls `network`; its label says whose it is.

    One that is there stays as it is; `Swarm.require_encrypted` refuses one that isn't encrypted.
    """
    return docker.Network(
        name,
        name=network,
        driver="overlay",
        labels=[docker.NetworkLabelArgs(label=NAMESPACE, value=stack.name)],
        attachable=attachable,
        internal=internal,
        options={"encrypted": ""} if encrypted else None,
        # Swarm adds its address range and VXLAN number here, and every field replaces; the label
        # came later than some networks.
        opts=pulumi.ResourceOptions(
            parent=parent, ignore_changes=["options", "ipamConfigs", "labels"]
        ),
    )
