"""Addresses and networks, as Traefik takes them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from settings.kinds import Kind, WrongValueError


class _Network(Kind[str]):
    must = "an address, or a network with the length of its prefix"

    def parse(self, text: str) -> str:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise WrongValueError(f"{self.must} ({error})") from error
        # Python takes netmasks and zones, too, which Go's net.ParseCIDR doesn't.
        if re.search(r"/.*\.|%", text):
            raise WrongValueError(self.must)
        if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
            raise WrongValueError(f"{self.must}; one of IPv4 as such: 10.0.0.5")
        return text

    def example(self, default: str | None) -> str:
        return default or "10.0.0.0/8"


NETWORK = _Network()


def is_network(text: str) -> bool:
    """Return whether Traefik takes `text` for an address or a network."""
    try:
        NETWORK.parse(text)
    except WrongValueError:
        return False
    return True


def admit_everybody(networks: Iterable[str]) -> bool:
    """Return whether all addresses, of IPv4 or IPv6, are in `networks` together."""
    valid = [ipaddress.ip_network(each) for each in networks if is_network(each)]
    four = [each for each in valid if isinstance(each, ipaddress.IPv4Network)]
    six = [each for each in valid if isinstance(each, ipaddress.IPv6Network)]
    return any(each.prefixlen == 0 for each in ipaddress.collapse_addresses(four)) or any(
        each.prefixlen == 0 for each in ipaddress.collapse_addresses(six)
    )
