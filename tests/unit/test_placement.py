"""Placement: the node that a volume is on, and what is refused."""

from __future__ import annotations

import pulumi
import pytest

from components.placement import Place, choose_node, refuse_to_leave
from components.swarm import Node

from .conftest import node

LABEL = "registry-com.registry-data"
MARK = {LABEL: "true"}


def choose(*nodes: Node, wanted: str | None = None, moved_from: str | None = None) -> str:
    return choose_node(nodes, LABEL, wanted, moved_from).name


def test_a_label_that_is_there_decides() -> None:
    assert choose(node("dog"), node("cat", labels=MARK), node("snake")) == "cat"


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


def test_the_choice_differs_from_label_to_label() -> None:
    nodes = [node(name) for name in ("dog", "cat", "snake")]
    assert {choose_node(nodes, f"stack{i}.data", None, None).name for i in range(40)} == {
        "dog",
        "cat",
        "snake",
    }


def test_the_named_node_is_taken_by_name_or_id() -> None:
    assert choose(node("dog"), node("cat"), wanted="cat") == "cat"
    assert choose(node("dog"), node("cat"), wanted="cat-id") == "cat"


REFUSED: dict[str, tuple[list[Node], str | None, str]] = {
    "the label on several nodes": (
        [node("dog", labels=MARK), node("cat", labels=MARK)],
        None,
        f"label {LABEL} is on 2 nodes",
    ),
    "a node that isn't there": ([node("dog")], "cow", "'cow', which is no node of the swarm"),
    "a name that two nodes have": ([node("dog"), node("dog")], "dog", "the name of 2 nodes"),
    "the node down": ([node("dog", labels=MARK, state="down")], None, "which is down"),
    "the node drained": ([node("dog", labels=MARK, availability="drain")], None, "is drained"),
    "the node paused": ([node("dog", labels=MARK, availability="pause")], None, "is paused"),
    "no node to choose from": ([node("dog", state="down")], None, "No node of the swarm can take"),
    "data on another node": (
        [node("dog", labels=MARK), node("cat")],
        "cat",
        "'cat', but the images are on node dog",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    nodes, wanted, message = REFUSED[case]
    with pytest.raises(pulumi.RunError, match=message):
        choose(*nodes, wanted=wanted)


def test_a_move_that_is_asked_for_by_name_is_done() -> None:
    nodes = [node("dog", labels=MARK), node("cat")]
    assert choose(*nodes, wanted="cat", moved_from="dog") == "cat"
    with pytest.raises(pulumi.RunError, match="volumeMovedFrom dog"):
        choose(*nodes, wanted="cat", moved_from="snake")


def place(**changes: str) -> dict[str, str]:
    about = {"volume": "data", "label": LABEL, "node_id": "dog-id", "node": "dog"} | changes
    return Place(**about).remembered()


def test_staying_is_no_move() -> None:
    refuse_to_leave(place(), place(node="dog-renamed"), None)


@pytest.mark.parametrize(
    ("change", "consents"),
    [
        ({"node": "cat", "node_id": "cat-id"}, ["dog", "dog-id"]),
        ({"volume": "other"}, ["data"]),
    ],
)
def test_leaving_what_is_remembered_takes_consent(
    change: dict[str, str], consents: list[str]
) -> None:
    with pytest.raises(pulumi.RunError, match="dog"):
        refuse_to_leave(place(), place(**change), None)
    with pytest.raises(pulumi.RunError, match="dog"):
        refuse_to_leave(place(), place(**change), "snake")
    for consent in consents:
        refuse_to_leave(place(), place(**change), consent)
