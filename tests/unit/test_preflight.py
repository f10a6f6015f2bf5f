"""What is looked at before anything is made."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from components.errors import (
    CombinedError,
    ImageMissingError,
    ImageNotBuiltError,
    ImageNotSharedError,
    NoNodeError,
    PortTakenError,
)
from components.swarm import NAMESPACE, preflight
from components.swarm.engine import Engine
from components.swarm.inspect import Network, RunningService, Swarm
from components.swarm.preflight import (
    Ports,
    check_built_image,
    check_images,
    check_nodes,
    check_ports,
    check_space,
    is_this_machine,
)
from settings import parse
from settings.preflight import opened_to_ipv6
from settings.remedies import explain

from .conftest import node, refused, swarm

SETTINGS = {80: "proxyHttpPort", 443: "proxyHttpsPort"}
DOG, CAT = node("dog"), node("cat")


class FakeClient:
    """Answers as an engine would."""

    def __init__(
        self,
        containers: list[dict[str, Any]] | None = None,
        tasks: dict[str, list[str]] | None = None,
        images: dict[str, str] | None = None,
    ) -> None:
        self._containers, self._tasks, self._images = containers or [], tasks or {}, images or {}

    def containers(self) -> list[dict[str, Any]]:
        return self._containers

    def tasks(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        return [{"NodeID": each} for each in self._tasks.get(filters["service"], [])]

    def info(self) -> dict[str, Any]:
        return {"Name": "dog", "DockerRootDir": "/"}

    def inspect_image(self, image: str) -> None:
        if self._images.get(image) != "here":
            raise docker.errors.ImageNotFound("no such image")

    def inspect_distribution(self, image: str) -> None:
        if self._images.get(image) == "slow":
            raise TimeoutError
        if image not in self._images:
            raise docker.errors.APIError("failed", explanation="manifest unknown")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the engine answer as the fake does; it isn't this machine's."""

    def use(client: FakeClient) -> None:
        @contextlib.contextmanager
        def connected(_: Engine) -> Iterator[FakeClient]:
            yield client

        monkeypatch.setattr(preflight, "connected", connected)

    monkeypatch.setattr(preflight, "is_this_machine", lambda *_: False)
    return use


def ports(*nodes: Any, everywhere: bool = False) -> Ports:
    return Ports("ours_proxy", SETTINGS, nodes or (DOG, CAT), everywhere=everywhere)


def proxy(stack: str, *published: int, mesh: tuple[int, ...] = ()) -> RunningService:
    return RunningService(
        name=f"{stack}_proxy",
        id=f"{stack}-id",
        labels={NAMESPACE: stack},
        host_ports=frozenset(published),
        mesh_ports=frozenset(mesh),
    )


def site(*services: RunningService) -> Swarm:
    return replace(swarm(DOG, CAT), services={each.name: each for each in services})


def container(name: str, port: int, **labels: str) -> dict[str, Any]:
    return {"Names": [f"/{name}"], "Ports": [{"PublicPort": port}], "Labels": labels}


def test_a_port_that_another_stack_has_on_every_node_is_refused(engine: Any) -> None:
    engine(FakeClient(tasks={"shop-id": ["dog-id", "cat-id"]}))
    with pytest.raises(CombinedError) as error:
        check_ports(site(proxy("shop", 80)), ports())
    text = explain(error.value, "prod")
    assert "Port 80 of node dog is taken by service shop_proxy of stack shop" in text
    assert "pulumi config set --stack prod registry:proxyHttpPort 8080" in text
    assert "443" not in text


def test_where_another_node_has_it_free_swarm_finds_it(engine: Any) -> None:
    engine(FakeClient(tasks={"shop-id": ["dog-id"]}))
    check_ports(site(proxy("shop", 80)), ports())
    for bound in (ports(DOG), ports(everywhere=True)):
        with refused(PortTakenError, "Port 80 of node dog"):
            check_ports(site(proxy("shop", 80)), bound)


def test_the_routing_mesh_has_its_ports_on_every_node(engine: Any) -> None:
    engine(FakeClient())
    with refused(CombinedError, "Port 443 of node cat"):
        check_ports(site(proxy("shop", mesh=(443,))), ports())


def test_a_container_beside_swarm_is_named(engine: Any) -> None:
    engine(FakeClient([container("nginx", 80)]))
    with refused(PortTakenError, "Port 80 of node dog is taken by container nginx"):
        check_ports(site(), ports(DOG))


def test_a_task_that_is_being_stopped_is_no_hindrance(engine: Any) -> None:
    label = {preflight.TASK_LABEL: "ours_proxy"}
    engine(FakeClient([container("ours_proxy.1", 80, **label)]))
    check_ports(site(), ports(DOG))


def test_what_runs_already_has_its_ports(engine: Any) -> None:
    engine(FakeClient([container("nginx", 80)]))
    check_ports(site(proxy("ours", 80, 443)), ports(DOG))
    with refused(PortTakenError, "Port 80"):
        check_ports(site(proxy("ours", 8080, 443)), ports(DOG))


def test_without_a_usable_manager_it_says_so(engine: Any) -> None:
    engine(FakeClient())
    away = node("dog", availability="drain")
    with refused(NoNodeError, r"can take Traefik: dog \(ready, drain\)"):
        check_ports(site(), ports(away))


def test_a_constraint_that_no_usable_node_meets_is_refused() -> None:
    ssd = node("dog", labels={"disk": "ssd"}, availability="drain")
    there = swarm(ssd, CAT)
    check_nodes(there, "ours_registry", [])
    check_nodes(there, "ours_registry", ["node.labels.disk != ssd"])
    text = "dog is drained, cat isn't node.labels.disk == ssd"
    with refused(NoNodeError, rf"{text}(.*\n)+.*registry:constraints\[0\]"):
        check_nodes(there, "ours_registry", ["node.labels.disk == ssd"])


def test_a_program_of_this_machine_is_named(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(FakeClient())
    monkeypatch.setattr(preflight, "is_this_machine", lambda *_: True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        wanted = Ports("ours_proxy", {port: "proxyHttpPort"}, (DOG,), everywhere=False)
        with refused(PortTakenError, rf"Port {port} .*process {os.getpid()}\)"):
            check_ports(site(), wanted)
    check_ports(site(), wanted)


def test_an_engine_is_this_machines_when_it_shares_its_network(tmp_path: Path) -> None:
    assert not is_this_machine(Engine(host="ssh://dog"), socket.gethostname())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen()
        engine = Engine(host=f"unix://{tmp_path}/docker.sock")
        assert is_this_machine(engine, "whatever")


def test_an_image_that_isnt_to_be_had_is_refused_on_the_only_engine(engine: Any) -> None:
    engine(FakeClient(images={"a:1": "here", "b:1": "there"}))
    one = swarm(DOG)
    assert check_images(one, {"image": "a:1", "proxyImage": "b:1"}) == []
    text = "image c:1 isn't on the engine.*manifest unknown.*\n"
    with refused(ImageMissingError, rf"{text} +pulumi config set --stack prod registry:image NAME"):
        check_images(one, {"image": "c:1"})


def test_a_registry_that_takes_long_may_answer_later(engine: Any) -> None:
    engine(FakeClient(images={"c:1": "slow"}))
    (warning,) = check_images(swarm(DOG), {"image": "c:1"})
    assert "its registry doesn't answer" in str(warning)


def test_with_more_nodes_another_may_have_it(engine: Any) -> None:
    engine(FakeClient())
    (warning,) = check_images(site(), {"image": "c:1"})
    assert "can't be pulled: manifest unknown" in str(warning)


def test_an_image_that_is_built_has_to_be_on_the_only_engine(engine: Any) -> None:
    engine(FakeClient(images={"tools:1": "here"}))
    check_built_image(swarm(DOG), "tools:1", "toolsImage")
    with refused(ImageNotBuiltError, r"tools:2 isn't on the engine\.[^\n]*\n +make build\n"):
        check_built_image(swarm(DOG), "tools:2", "toolsImage")


def test_several_nodes_need_it_in_a_registry(engine: Any) -> None:
    engine(FakeClient(images={"tools:1": "here"}))
    with refused(ImageNotSharedError, r"the swarm has 2 nodes\.[^\n]*\n +make build PUSH="):
        check_built_image(swarm(DOG, CAT), "tools:1", "toolsImage")


def test_little_space_is_a_warning(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(FakeClient())
    monkeypatch.setattr(preflight, "LITTLE_SPACE", 2**62)
    assert check_space(site()) == [], "another machine's space can't be seen"
    monkeypatch.setattr(preflight, "is_this_machine", lambda *_: True)
    (warning,) = check_space(site())
    assert "MiB are free in /" in str(warning)


@pytest.mark.parametrize(
    ("allow", "warned"),
    [
        ("172.16.0.0/12", True),
        ("172.18.0.1", True),
        ("172.19.0.0/16", False),
        ("10.0.0.0/8", False),
        ("2001:db8::/32", False),
    ],
)
def test_a_network_that_lets_in_all_who_come_over_ipv6_is_a_warning(
    allow: str, warned: bool
) -> None:
    mirror = {"upstream": "https://ghcr.io", "domain": "mirror.example.com", "allow": [allow]}
    values = {"stackName": "s", "domain": "r.example.com", "mirrors": json.dumps({"hub": mirror})}
    settings = parse({f"registry:{key}": text for key, text in values.items()}, bool, "prod")
    bridge = Network(
        name="docker_gwbridge", driver="bridge", scope="local", gateways=("172.18.0.1",)
    )
    warnings = opened_to_ipv6(settings, swarm(networks=(bridge,)))
    assert ["mirrors.hub.allow has 172.18.0.1" in text for text in warnings] == [True] * warned
    assert opened_to_ipv6(settings, swarm()) == []
