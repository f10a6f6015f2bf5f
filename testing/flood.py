"""Requests from many addresses at once, which are those of one machine outside the swarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ops.bootstrap.console import run

from .site import SwarmUnderTest
from .testswarm import SUBNET

FLOOD_S = 120
"""Time limit of a flood, seconds."""


@contextmanager
def further_addresses(site: SwarmUnderTest, count: int) -> Iterator[list[str]]:
    """Give the machine outside so many addresses, until the block ends."""
    addresses = [f"{SUBNET}.{100 + number}" for number in range(count)]
    bridge = ("ip", "-netns", site.swarm.outside.netns, "addr")
    given: list[str] = []
    try:
        for address in addresses:
            run([*bridge, "add", f"{address}/24", "dev", "br0"])
            given.append(address)
        yield addresses
    finally:
        for address in given:
            run([*bridge, "del", f"{address}/24", "dev", "br0"])


def flood(site: SwarmUnderTest, addresses: Sequence[str], at_once: int, *urls: str) -> Counter[str]:
    """Ask for all URLs, which are curl's patterns, from each address; count the statuses.

    From each address, `at_once` requests are under way.
    """
    args = ("curl", "-s", "-w", "%{http_code}\n", "--parallel", "--parallel-max", str(at_once))
    nowhere = ("-o", "/dev/null") * len(urls)

    def ask(address: str) -> Counter[str]:
        options = (*args, "--interface", address, *nowhere)
        done = site.swarm.exec(site.swarm.outside, *options, *urls, timeout=FLOOD_S)
        return Counter(done.stdout.split())

    with ThreadPoolExecutor(len(addresses)) as pool:
        return sum(pool.map(ask, addresses), Counter())
