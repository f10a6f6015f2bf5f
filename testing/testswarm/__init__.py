"""A real swarm on one machine, beside the machine's own engine and out of its sight.

A node is a network, mount, UTS and PID namespace with a dockerd of its own; the nodes' network is
a bridge in one more namespace, so the host gets no interface, address, port or firewall rule.
`python3 -m testing.testswarm [image.tar …]` keeps a swarm up until Ctrl-C.

Needs root, Linux and the programs that `ops.bootstrap.daemon.install` brings.
"""

from __future__ import annotations

from .cleanup import remove_abandoned
from .limits import ENDED_S, SOON_S
from .network import MIRROR_PORT, SUBNET
from .node import ClientHost, Node
from .swarm import TestSwarm

__all__ = [
    "ENDED_S",
    "MIRROR_PORT",
    "SOON_S",
    "SUBNET",
    "ClientHost",
    "Node",
    "TestSwarm",
    "remove_abandoned",
]
