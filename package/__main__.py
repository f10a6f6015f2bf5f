"""Serves the component package `swarm-registry`."""

from private_registry import PrivateRegistry
from pulumi.provider.experimental import component_provider_host

from components.version import VERSION

if __name__ == "__main__":
    component_provider_host([PrivateRegistry], name="swarm-registry", version=VERSION)
