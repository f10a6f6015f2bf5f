"""Networks: made, joined, encrypted."""

from __future__ import annotations

import pulumi
import pytest

from components import (
    NetworkOptions,
    PublicNetwork,
    PublicNetworkArgs,
    Redis,
    RedisArgs,
    SocketProxy,
    SocketProxyArgs,
    SwarmStack,
)
from components.errors import NetworkError, NetworkNotEncryptedError
from components.swarm.inspect import Network

from .conftest import Deploy, refused, swarm
from .shared_components import (
    STACK,
)


def test_a_network_is_made_or_joined(deploy: Deploy) -> None:
    def made() -> None:
        options = NetworkOptions(name="n", create=True, encrypted=True)
        PublicNetwork("network", PublicNetworkArgs(stack=STACK, options=options))

    network = deploy(made).of_type("Network")["network-overlay"]
    assert network["driver"] == "overlay"
    assert network["attachable"] is True
    assert network["options"] == {"encrypted": ""}

    def joined() -> pulumi.Output[None]:
        args = PublicNetworkArgs(stack=STACK, options=NetworkOptions(name="n"))
        network = PublicNetwork("network", args)

        def check(network_id: str) -> None:
            assert network_id == "joined-id"

        return network.network_id.apply(check)

    assert not deploy(joined).of_type("Network")


def test_networks_within_the_stack_are_encrypted_too(deploy: Deploy) -> None:
    def program() -> None:
        stack = SwarmStack(name="s", encrypted=True)
        Redis("redis", RedisArgs(stack=stack))
        SocketProxy("socket", SocketProxyArgs(stack=stack))

    networks = deploy(program).of_type("Network")
    assert len(networks) == 2
    for network in networks.values():
        assert network["options"] == {"encrypted": ""}


@pytest.mark.parametrize("there", ["traefik-public", "s_redis"])
def test_a_network_that_is_there_and_not_encrypted_is_refused(there: str) -> None:
    network = Network(name=there, driver="overlay", scope="swarm")
    key = "registry:cache memory" if there == "s_redis" else "registry:network NAME"
    with refused(NetworkNotEncryptedError, rf"{there} (.*\n)+.* {key}"):
        swarm(networks=(network,)).require_encrypted("traefik-public", {"s_redis": "redis"})


STORAGE = Network(name="storage", driver="overlay", scope="swarm", id="storage-id")


def test_a_further_network_is_joined_by_its_id() -> None:
    assert swarm(networks=(STORAGE,)).further_networks(["storage"]) == ["storage-id"]


@pytest.mark.parametrize(
    ("name", "reason"), [("nowhere", "has no such network"), ("bridge", "need an overlay network")]
)
def test_a_further_network_has_to_be_there_and_be_an_overlay(name: str, reason: str) -> None:
    there = (STORAGE, Network(name="bridge", driver="bridge", scope="local"))
    with refused(NetworkError, rf"{reason}(.*\n)+.*'registry:networks\[1\]'"):
        swarm(networks=there).further_networks(["storage", name])


def test_networks_that_are_encrypted_or_will_be_are_fine() -> None:
    names = ("traefik-public", "s_redis")
    networks = [
        Network(name=name, driver="overlay", scope="swarm", encrypted=True) for name in names
    ]
    for there in ([], networks[:1], networks):
        swarm(networks=tuple(there)).require_encrypted("traefik-public", {"s_redis": "redis"})


def test_a_stack_whose_inner_networks_were_never_encrypted_is_warned() -> None:
    public = Network(name="n", driver="overlay", scope="swarm", encrypted=True)
    redis = Network(name="s_redis", driver="overlay", scope="swarm")
    (warning,) = swarm(networks=(public, redis)).require_encrypted("n", {"s_redis": "redis"})
    assert "s_redis is there and isn't encrypted" in str(warning)
