"""The overlay network that Traefik and the services behind it share."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.swarm.overlay import overlay
from components.swarm.stack import SwarmStack
from components.traefik.flags import PUBLIC_NETWORK


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Which network Traefik shares with the services behind it, and whose it is."""

    name: str = PUBLIC_NETWORK
    """Its name in Docker."""
    create: bool = False
    """Made, and with the stack removed, by this stack; else it must be there (`external: true`)."""
    encrypted: bool = False
    """Encrypts between nodes (IPsec), when made here; networks within the stack do then, too."""


@dataclass(frozen=True, kw_only=True)
class PublicNetworkArgs:
    """Arguments of `PublicNetwork`."""

    stack: SwarmStack
    """The stack that owns a network made here."""
    options: NetworkOptions = NetworkOptions()


class PublicNetwork(pulumi.ComponentResource):
    """An attachable overlay network, made or joined."""

    network_id: pulumi.Output[str]
    """Full id; services join by it, since by name they are replaced on every update."""

    def __init__(
        self, name: str, args: PublicNetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:PublicNetwork", name, None, opts)
        if args.options.create:
            self.network_id = overlay(
                f"{name}-overlay",
                args.options.name,
                args.stack,
                self,
                attachable=True,
                encrypted=args.options.encrypted,
            ).id
        else:
            self.network_id = docker.get_network_output(
                name=args.options.name, opts=pulumi.InvokeOptions(parent=self)
            ).id
        self.register_outputs({"networkId": self.network_id})
