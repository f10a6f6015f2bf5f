"""A network between tasks that loses packets, as one of a busy machine does."""

from __future__ import annotations

from .site import SwarmUnderTest

_LOSE_FIRST = """
for _ in $(seq 10); do
    iptables --wait --insert OUTPUT --protocol tcp --syn --dport "$1" --jump DROP
    sleep 0.7
    iptables --wait --delete OUTPUT --protocol tcp --syn --dport "$1" --jump DROP
    sleep 1.3
done
"""


def lose_first_packets(site: SwarmUnderTest, service: str, port: int) -> None:
    """Lose the first packet of connections of a service's task to a port, in 0.7 of every 2 s.

    It is sent again after 1 s (RFC 6298), which isn't lost. This goes on for 20 s.
    """
    node, container = site.container(service)
    pid = site.swarm.docker(node, "inspect", "-f", "{{.State.Pid}}", container)
    enter = ("nsenter", f"--target={pid}", "--net")
    site.swarm.exec(node, *enter, "sh", "-c", _LOSE_FIRST, "lose-first", str(port))
