"""`registry:network` and what goes with it."""

from __future__ import annotations

from components.network import NetworkOptions
from settings import early, rules
from settings.kinds import BOOLEAN
from settings.reader import Reader

DEFAULTS = NetworkOptions()


def parse_network(reader: Reader, joins: bool) -> NetworkOptions:
    """Return the network that Traefik is on; without a proxy the stack `joins` one by default."""
    create = reader.get("createNetwork", BOOLEAN, not joins)
    encrypted = reader.get("encryptNetwork", BOOLEAN, DEFAULTS.encrypted)
    if encrypted and not create:
        reason = "needs createNetwork: a network that is joined stays as its owner made it."
        reader.remove("encryptNetwork", reason)
    return NetworkOptions(name=early.network_name(reader), create=create, encrypted=encrypted)


def parse_further_networks(reader: Reader, network: str) -> tuple[str, ...]:
    """Return further networks that registry and mirrors join, such as an object store's."""
    names = reader.names("networks", rules.NAME)
    if network in names:
        reason = "is registry:network, which the registry is on already."
        reader.remove(f"networks[{names.index(network)}]", reason)
    return names
