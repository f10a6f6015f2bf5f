"""Placement: the node that a volume is on, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from components.errors import (
    DataElsewhereError,
    LabelAmbiguousError,
    LabelMovedError,
    LabelValueError,
    MoveCutOffError,
    NodeGoneError,
    NodeUnavailableError,
    NodeUnknownError,
    NoNodeError,
    PlacementError,
)
from components.swarm.inspect import Node
from components.swarm.placement import choose_node, fits, left_label

from .conftest import node, refused

LABEL = "registry-com.registry-data"
MARK = {LABEL: "true"}


def choose(*nodes: Node, **about: Any) -> str:
    return choose_node(nodes, LABEL, **about).name


def test_a_label_that_is_there_decides() -> None:
    assert choose(node("dog"), node("cat", labels=MARK), node("snake")) == "cat"


@pytest.mark.parametrize("value", ["True", "TRUE", "tRuE"])
def test_a_label_is_read_as_swarm_reads_it(value: str) -> None:
    nodes = [node("dog"), node("cat", labels={LABEL: value}), node("snake")]
    assert choose(*nodes) == "cat"


@pytest.mark.parametrize("value", ["1", "yes", "Y", "on"])
def test_a_label_that_somebody_may_have_meant_is_asked_about(value: str) -> None:
    nodes = [node("dog"), node("cat", labels={LABEL: value})]
    with refused(LabelValueError, f"label-add {LABEL}=true cat-id"):
        choose(*nodes)
    assert choose(*nodes, wanted="dog") == "dog"


def test_a_label_with_another_value_is_none() -> None:
    assert choose(node("dog", labels={LABEL: "false"}), wanted="dog") == "dog"


def test_without_a_label_a_usable_node_is_chosen_and_always_the_same() -> None:
    nodes = [
        node("dog", availability="drain"),
        node("cat", state="down"),
        node("snake"),
        node("bird"),
    ]
    chosen = {choose(*nodes), choose(*reversed(nodes))}
    assert len(chosen) == 1
    assert chosen <= {"snake", "bird"}


def test_a_worker_is_chosen_before_managers_if_one_will_do() -> None:
    nodes = [node(name, manager=name != "bird") for name in ("dog", "cat", "bird")]
    for number in range(40):
        assert choose_node(nodes, f"stack{number}.data").name == "bird"
    constraint = "node.hostname != bird"
    assert choose(*nodes, constraints=[constraint]) in ("dog", "cat")


def test_a_cache_is_put_apart_from_the_images_if_it_can_be() -> None:
    nodes = [node(name) for name in ("dog", "cat")]
    labels = [f"stack{number}.mirrors" for number in range(40)]
    for label in labels:
        assert choose_node(nodes, label, apart_from="dog-id").name == "cat"
        assert choose_node(nodes[:1], label, apart_from="dog-id").name == "dog"
    worker = node("bird", manager=False)
    assert choose_node([*nodes, worker], labels[0], apart_from="bird-id").name == "bird"
    there = node("dog", labels={labels[0]: "true"})
    assert choose_node([there, nodes[1]], labels[0], apart_from="dog-id").name == "dog"


def test_the_choice_differs_from_label_to_label() -> None:
    nodes = [node(name) for name in ("dog", "cat", "snake")]
    chosen = {choose_node(nodes, f"stack{i}.data").name for i in range(40)}
    assert chosen == {"dog", "cat", "snake"}


def test_the_named_node_is_taken_by_name_or_id() -> None:
    assert choose(node("dog"), node("cat"), wanted="cat") == "cat"
    assert choose(node("dog"), node("cat"), wanted="cat-id") == "cat"


@pytest.mark.parametrize("labels", [f"stack{i}.data" for i in range(12)])
def test_the_node_is_chosen_among_those_that_the_service_may_run_on(labels: str) -> None:
    nodes = [node("dog"), node("cat", labels={"disk": "SSD"}), node("snake", manager=False)]
    chosen = choose_node(nodes, labels, constraints=["node.labels.disk == ssd"])
    assert chosen.name == "cat"
    assert choose_node(nodes, labels, constraints=["node.role==worker"]).name == "snake"


@pytest.mark.parametrize(
    ("constraint", "names"),
    [
        ("node.hostname == CAT", {"cat"}),
        ("node.hostname != cat", {"dog", "snake"}),
        ("node.id == dog-id", {"dog"}),
        ("node.role == manager", {"dog", "cat"}),
        ("node.platform.arch == aarch64", {"snake"}),
        ("node.platform.os==linux", {"dog", "cat", "snake"}),
        ("node.labels.zone.name == b", {"cat"}),
        ("node.labels.zone.name != b", {"dog", "snake"}),
        ("engine.labels.gpu == yes", {"dog"}),
        ("nonsense", set()),
    ],
)
def test_constraints_mean_what_they_mean_to_swarm(constraint: str, names: set[str]) -> None:
    nodes = [
        node("dog", engine_labels={"gpu": "yes"}),
        node("cat", labels={"zone.name": "b"}),
        node("snake", manager=False, architecture="aarch64"),
    ]
    assert {each.name for each in nodes if fits(each, constraint)} == names


REFUSED: dict[str, tuple[list[Node], dict[str, Any], type[PlacementError], str]] = {
    "the label on several nodes": (
        [node("dog", labels=MARK), node("cat", labels={LABEL: "True"})],
        {},
        LabelAmbiguousError,
        f"label {LABEL} is on 2 nodes",
    ),
    "a node that isn't there": (
        [node("dog")],
        {"wanted": "cow"},
        NodeUnknownError,
        "'cow', which is no node of the swarm",
    ),
    "a name that two nodes have": (
        [node("dog"), node("dog")],
        {"wanted": "dog"},
        NodeUnknownError,
        "the name of 2 nodes",
    ),
    "the node down": (
        [node("dog", labels=MARK, state="down")],
        {},
        NodeUnavailableError,
        "which is down: .* Bring that machine, its network or its engine back",
    ),
    "the node drained": (
        [node("dog", labels=MARK, availability="drain")],
        {},
        NodeUnavailableError,
        "is drained: .*\n      docker node update --availability active dog-id",
    ),
    "the node paused": (
        [node("dog", labels=MARK, availability="pause")],
        {},
        NodeUnavailableError,
        "is paused: .*\n      docker node update --availability active dog-id",
    ),
    "no node to choose from": (
        [node("dog", state="down"), node("cat")],
        {"constraints": ["node.labels.disk == ssd"]},
        NoNodeError,
        "No node .* dog is down, cat isn't node.labels.disk == ssd",
    ),
    "a node that the service may not run on": (
        [node("dog", labels=MARK)],
        {"constraints": ["node.role == worker"]},
        NodeUnavailableError,
        "on node dog .* where node.role == worker doesn't hold",
    ),
    "data on another node": (
        [node("dog", labels=MARK), node("cat")],
        {"wanted": "cat"},
        DataElsewhereError,
        "'cat', but the images are on node dog",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    nodes, about, kind, message = REFUSED[case]
    with refused(kind, message):
        choose(*nodes, **about)


def test_a_move_that_is_asked_for_by_name_is_done() -> None:
    nodes = [node("dog", labels=MARK), node("cat")]
    assert choose(*nodes, wanted="cat", consent="dog") == "cat"
    with refused(DataElsewhereError, "volumeMovedFrom dog"):
        choose(*nodes, wanted="cat", consent="snake")


HOME = {"cluster": "c", "volume": "data", "label": LABEL, "nodeId": "cat-id", "node": "cat"}


def test_what_is_remembered_decides_when_the_label_is_lost() -> None:
    nodes = [node(name) for name in ("dog", "cat", "snake", "bird")]
    assert choose(*nodes, remembered=HOME) == "cat"


def test_a_label_that_was_moved_by_hand_is_asked_about() -> None:
    nodes = [node("dog", labels=MARK), node("cat")]
    with refused(LabelMovedError, r"images are on node cat .* label .* is on dog"):
        choose(*nodes, remembered=HOME)


def test_a_label_that_was_moved_with_the_data_takes_consent_by_name() -> None:
    nodes = [node("dog", labels=MARK), node("cat")]
    assert choose(*nodes, remembered=HOME, consent="cat") == "dog"
    assert choose(*nodes, remembered=HOME, consent="dog") == "cat", "and back"


def test_a_move_that_was_cut_off_is_refused_until_it_is_ended() -> None:
    nodes = [node("dog", labels=MARK), node("cat", labels={left_label(LABEL): "true"})]
    for wanted in (None, "cat"):
        with refused(MoveCutOffError, r"from node cat to dog was cut off.*\n +make move NODE=dog"):
            choose(*nodes, remembered=HOME, wanted=wanted)
    assert choose(*nodes, remembered=HOME, wanted="dog", consent="cat-id") == "dog"


def test_another_node_that_is_named_is_refused_with_both_ways() -> None:
    nodes = [node("dog"), node("cat", labels=MARK)]
    text = r"the images are on node cat .*\n.*volumeNode cat\n.*\n +make move NODE=dog STACK="
    with refused(DataElsewhereError, text):
        choose(*nodes, remembered=HOME, wanted="dog")


def test_a_node_that_left_the_swarm_is_not_replaced_by_another() -> None:
    nodes = [node("dog"), node("snake")]
    with refused(NodeGoneError, r"node cat \(cat-id\), which has left the swarm"):
        choose(*nodes, remembered=HOME)
    assert choose(*nodes, remembered=HOME, wanted="dog", consent="cat-id") == "dog"
