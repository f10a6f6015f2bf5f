"""A stack's data: the label, the memory, and what a deployment does with them."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components import Storage, StorageArgs, SwarmStack, VolumeOptions
from components.errors import (
    MoveUndoneError,
    NodeNotNamedError,
    NodeUnavailableError,
    PartialUpgradeError,
)
from components.run.deployed import (
    FORMER_STORAGE_TYPE,
    STASH,
    Deployed,
    refuse_partial_upgrade,
)
from components.run.target import Target
from components.storage import VOLUME
from components.swarm.location import IMAGES, MIRRORED_IMAGES, ObjectStore, Role, Volume
from components.swarm.placement import left_label

from .conftest import Deploy, Recorder, node, refused, swarm

LABEL = "s.registry-data"
DOG = {"kind": "volume", "cluster": "", "volume": "s_registry-data", "label": LABEL}
DOG |= {"nodeId": "dog-id", "node": "dog"}


@pytest.fixture
def labelled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the labels that were set, and the ids of their nodes."""
    calls: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "components.storage.label_only", lambda _, label, node_id: calls.append((label, node_id))
    )
    return calls


def made(
    deploy: Deploy,
    remembered: dict[str, Any] | None = None,
    running: bool = True,
    declared: bool = False,
    role: Role = IMAGES,
    dog: dict[str, Any] | None = None,
    cat: dict[str, Any] | None = None,
    **about: Any,
) -> Recorder:
    outputs: dict[tuple[str, str], dict[str, Any]] = {}
    if remembered:
        outputs[STASH, "registry-data-place"] = {"input": remembered}
    if declared:
        outputs[VOLUME, "registry-data-volume"] = {"name": "s_registry-data"}
    chosen = {name: about.pop(name, None) for name in ("node", "moved_from")}
    options = VolumeOptions(role=role, name="s_registry-data", **chosen)
    args = {"location": Volume(name="s_registry-data"), **about}
    target = Target(
        swarm=swarm(node("dog", **(dog or {})), node("cat", **(cat or {}))),
        deployed=Deployed(outputs=outputs),
    )

    def program() -> pulumi.Output[Any]:
        storage = Storage(
            "registry-data",
            StorageArgs(stack=SwarmStack(name="s"), options=options, target=target, **args),
        )

        def up(_: bool) -> bool:
            if not running:
                undone = storage.undo_move()
                assert undone
                raise undone
            return True

        storage.remember(pulumi.Output.from_input(True).apply(up))
        return pulumi.Output.all(*storage.constraints)

    return deploy(program)


def location(recorder: Recorder) -> Any:
    return recorder.of_type("Stash")["registry-data-place"]["input"]


def test_the_place_is_remembered(deploy: Deploy, labelled: list[tuple[str, str]]) -> None:
    assert location(made(deploy, node="dog")) == DOG
    assert labelled == [(LABEL, "dog-id")]


@pytest.mark.parametrize(("images", "mirrors"), [("dog", "cat"), ("cat", "dog")])
def test_a_cache_is_put_on_another_node_than_the_images(
    deploy: Deploy, labelled: list[tuple[str, str]], images: str, mirrors: str
) -> None:
    other = Volume(name="s_images", node_id=f"{images}-id", node=images)
    assert location(made(deploy, role=MIRRORED_IMAGES, apart_from=other))["node"] == mirrors
    assert labelled == [(LABEL, f"{mirrors}-id")]


def test_an_object_store_is_remembered_too(deploy: Deploy, labelled: list[tuple[str, str]]) -> None:
    store = ObjectStore(driver="s3", bucket="images", folder="prod")
    assert location(made(deploy, location=store))["bucket"] == "images"
    assert labelled == []


def test_a_lost_label_goes_back_to_the_node_that_is_remembered(
    deploy: Deploy, labelled: list[tuple[str, str]]
) -> None:
    made(deploy, DOG)
    assert labelled == [(LABEL, "dog-id")]


def test_a_move_is_remembered_only_once_it_has_succeeded(
    deploy: Deploy, labelled: list[tuple[str, str]]
) -> None:
    assert location(made(deploy, DOG, node="cat", moved_from="dog"))["node"] == "cat"
    labelled.clear()
    text = "still in volume s_registry-data on node dog.*\n.*registry:volumeNode dog"
    with refused(MoveUndoneError, text):
        made(deploy, DOG, node="cat", moved_from="dog", running=False)
    assert labelled == [(LABEL, "cat-id"), (LABEL, "dog-id")], "the label is back"


@pytest.mark.usefixtures("labelled")
def test_a_move_that_was_not_ended_is_a_warning(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    cat = {"labels": {LABEL: "true"}}
    left = {"labels": {left_label(LABEL): "true"}}
    there = DOG | {"nodeId": "cat-id", "node": "cat"}
    made(deploy, there, dog=left, cat=cat)
    assert len(warnings) == 1
    assert "from node dog to cat was cut off" in warnings[0]
    made(deploy, there, dog=left, cat=cat, moved_from="dog-id")
    made(deploy, DOG, dog={"labels": {LABEL: "true", left_label(LABEL): "true"}})
    assert len(warnings) == 1, "its own deployment, and where the label hasn't moved"


def test_a_cache_is_no_obstacle(deploy: Deploy, labelled: list[tuple[str, str]]) -> None:
    down = {"state": "down"}
    with refused(NodeUnavailableError, "which is down"):
        made(deploy, DOG, dog=down)
    assert location(made(deploy, DOG, dog=down, role=MIRRORED_IMAGES)) == DOG, (
        "it stays where it is"
    )
    assert labelled == [], "and its node is left alone"


@pytest.mark.usefixtures("labelled")
def test_a_cache_whose_node_is_gone_gets_another(deploy: Deploy) -> None:
    gone = DOG | {"nodeId": "cow-id", "node": "cow"}
    assert location(made(deploy, gone, role=MIRRORED_IMAGES, node="cat"))["node"] == "cat"


@pytest.mark.usefixtures("labelled")
def test_no_deployment_deletes_a_volume(deploy: Deploy) -> None:
    assert not made(deploy, DOG).of_type("Volume"), "Swarm makes it"
    assert not made(deploy, DOG, destroy=True).of_type("Volume")
    kept = made(deploy, DOG, destroy=True, declared=True).registered["registry-data-volume"]
    assert kept.typ == VOLUME, "left out, it would be deleted"


SWARM_BEFORE = DOG | {"cluster": "before", "nodeId": "gone-id"}


@pytest.mark.usefixtures("labelled")
def test_on_another_swarm_the_volumes_node_has_to_be_named(deploy: Deploy) -> None:
    with refused(NodeNotNamedError, "Which node of this swarm.*\n.*registry:volumeNode NODE"):
        made(deploy, SWARM_BEFORE)
    assert location(made(deploy, SWARM_BEFORE, node="cat"))["node"] == "cat"


def test_an_earlier_versions_stack_is_not_deployed_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    former = Deployed(outputs={(FORMER_STORAGE_TYPE, "registry-data"): {}})
    monkeypatch.setattr("components.run.deployed.is_partial", lambda: True)
    refuse_partial_upgrade(Deployed())
    with refused(PartialUpgradeError, "pulumi up --stack prod"):
        refuse_partial_upgrade(former)
    monkeypatch.setattr("components.run.deployed.is_partial", lambda: False)
    refuse_partial_upgrade(former)
