"""Whether a service or network that is there already may be this stack's to make."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_docker as docker
import pytest

from components import NetworkOptions, PublicNetwork, PublicNetworkArgs, SwarmStack
from components.errors import AlreadyThereError
from components.run import takeover
from components.run.deployed import Deployed
from components.swarm.inspect import Network
from components.swarm.ownership import NETWORK, SERVICE, owned
from settings.remedies import explain

from .conftest import Deploy, node, refused, swarm

THERE = swarm(
    node("dog"),
    networks=(Network(name="net", driver="overlay", scope="swarm", id="net-id"),),
    s_registry="registry:3",
)


def declared(
    *,
    service: str = "new",
    network: str = "new-net",
    known: Deployed | None = None,
    imports: Mapping[str, str] | None = None,
) -> dict[str, str | None]:
    """Declare a service and a network; return the ids that they are imported by, by type."""
    imported: dict[str, str | None] = {}
    transform = owned(THERE, known or Deployed(), imports or {})

    def spy(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        result: pulumi.ResourceTransformationResult | None = transform(args)
        imported[args.type_] = result.opts.import_ if result else None
        return result

    opts = pulumi.ResourceOptions(transformations=[spy])
    args = PublicNetworkArgs(
        stack=SwarmStack(name="s"), options=NetworkOptions(name=network, create=True)
    )
    parent = PublicNetwork("network", args, opts)
    container = docker.ServiceTaskSpecContainerSpecArgs(image="i")
    docker.Service(
        "registry-service",
        name=service,
        task_spec=docker.ServiceTaskSpecArgs(container_spec=container),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return imported


def test_what_isnt_there_is_made(deploy: Deploy) -> None:
    recorder = deploy(lambda: declared() and None)
    assert len(recorder.registered) == 3


def test_a_service_that_the_state_doesnt_know_is_refused_before_anything_is_touched(
    deploy: Deploy,
) -> None:
    def program() -> None:
        with pytest.raises(AlreadyThereError) as refusal:
            declared(service="s_registry")
        text = explain(refusal.value, "prod")
        assert "make recover STACK=prod" in text
        assert "createNetwork" not in text

    deploy(program)


def test_a_network_that_is_there_is_refused_and_can_be_joined(deploy: Deploy) -> None:
    def program() -> None:
        with refused(AlreadyThereError, "set --stack prod registry:createNetwork false"):
            declared(network="net")

    recorder = deploy(program)
    assert not recorder.of_type("Network")


def test_what_the_state_knows_may_be_changed_or_replaced(deploy: Deploy) -> None:
    known: dict[tuple[str, str], dict[str, str]] = {
        (SERVICE, "registry-service"): {},
        (NETWORK, "network-overlay"): {},
    }

    def program() -> None:
        imported = declared(
            service="s_registry",
            network="net",
            known=Deployed(outputs=known),
            imports={"net": "id"},
        )
        assert not any(imported.values())

    deploy(program)


def test_what_is_taken_over_is_imported(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in takeover.variables({"net": "1", "s_registry": "2", "other": "3"}).items():
        monkeypatch.setenv(name, value)

    def program() -> None:
        imported = declared(service="s_registry", network="net", imports=takeover.takeover())
        assert imported[NETWORK] == "1"
        assert imported[SERVICE] == "2"

    deploy(program)


def test_without_a_takeover_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(takeover.VARIABLE, raising=False)
    assert takeover.takeover() == {}
    assert takeover.swarm_moved_from() is None
    monkeypatch.setenv(takeover.SWARM, takeover.variables({}, "before")[takeover.SWARM])
    assert takeover.swarm_moved_from() == "before"
