"""The nodes' network: a bridge in a namespace of its own, and a cable to each node."""

from __future__ import annotations

from collections.abc import Iterable

from ops.bootstrap.console import run

from .node import ClientHost, Node

SUBNET = "198.18.0"  # Set aside for tests; Docker's default address pools are elsewhere.
MIRROR_PORT = 5000
"""Outside, where the nodes look for Docker Hub's images first; mostly nobody answers there."""


def make_network(outside: ClientHost, nodes: Iterable[Node]) -> None:
    """Make the namespaces of all, and connect them."""
    switch = outside.netns
    run(["ip", "netns", "add", switch])
    _ip(switch, "link set lo up")
    _ip(switch, "link add br0 type bridge")
    _ip(switch, f"addr add {outside.ip}/24 dev br0")
    _ip(switch, "link set br0 up")
    for node in nodes:
        port = _port(node)
        run(["ip", "netns", "add", node.netns])
        _ip(switch, f"link add {port} type veth peer name eth0 netns {node.netns}")
        _ip(switch, f"link set {port} master br0 up")
        _ip(node.netns, "link set lo up")
        _ip(node.netns, f"addr add {node.ip}/24 dev eth0")
        _ip(node.netns, "link set eth0 up")


def plug(outside: ClientHost, node: Node, state: str) -> None:
    """Put the node's cable in (`up`), or pull it (`down`)."""
    _ip(outside.netns, f"link set {_port(node)} {state}")


def _port(node: Node) -> str:
    """Return the bridge's end of the node's cable."""
    return f"port-{node.name}"


def _ip(netns: str, args: str) -> None:
    run(["ip", "-netns", netns, *args.split()])
