"""The overlay network that Traefik and the services behind it share."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.swarm.stack import NAMESPACE


@dataclass(frozen=True, kw_only=True)
class PublicNetworkArgs:
    """Which network, and whose it is."""

    stack_name: str
    """Swarm stack that the network belongs to, when made here."""
    network: str
    """Its name in Docker."""
    create: bool
    """Made, and with the stack removed, by this stack; else it must be there (`external: true`)."""
    encrypted: bool = False
    """Encrypt between nodes (IPsec), when made here."""


class PublicNetwork(pulumi.ComponentResource):
    """An attachable overlay network, made or joined."""

    network_id: pulumi.Output[str]
    """Full id; services join by it, since by name they are replaced on every update."""

    def __init__(
        self, name: str, args: PublicNetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:PublicNetwork", name, None, opts)
        if args.create:
            self.network_id = overlay(
                f"{name}-overlay",
                args.network,
                args.stack_name,
                self,
                attachable=True,
                encrypted=args.encrypted,
            ).id
        else:
            self.network_id = docker.get_network_output(
                name=args.network, opts=pulumi.InvokeOptions(parent=self)
            ).id
        self.register_outputs({"networkId": self.network_id})


def overlay(
    name: str,
    network: str,
    stack_name: str,
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
        labels=[docker.NetworkLabelArgs(label=NAMESPACE, value=stack_name)],
        attachable=attachable,
        internal=internal,
        options={"encrypted": ""} if encrypted else None,
        # Swarm adds its address range and VXLAN number here, and every field replaces; the label
        # came later than some networks.
        opts=pulumi.ResourceOptions(
            parent=parent, ignore_changes=["options", "ipamConfigs", "labels"]
        ),
    )
