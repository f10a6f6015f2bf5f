"""Labels on nodes: one holder, other labels kept, and a node that changes meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import docker.errors
import pytest

from components.swarm import direct as swarm
from components.swarm.engine import Engine

LABEL = "s.registry-data"
ENGINE = Engine(host="unix:///nowhere.sock")


class Client:
    """Two nodes; the first `conflicts` updates come too late, as Swarm says it."""

    def __init__(self, conflicts: int) -> None:
        self._conflicts = conflicts
        self.labels: dict[str, dict[str, str]] = {"dog": {"disk": "ssd"}, "cat": {LABEL: "true"}}
        self.asked = 0

    def inspect_node(self, name: str) -> dict[str, Any]:
        self.asked += 1
        return {"ID": name, "Version": {"Index": self.asked}, "Spec": {"Labels": self.labels[name]}}

    def nodes(self) -> list[dict[str, Any]]:
        nodes = [self.inspect_node(name) for name in self.labels]
        self.asked = 0
        return nodes

    def update_node(self, name: str, _: int, spec: dict[str, Any]) -> None:
        if self._conflicts:
            self._conflicts -= 1
            raise docker.errors.APIError("rpc error: update out of sequence")
        self.labels[name] = spec["Labels"]


@pytest.fixture
def label(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(client: Client) -> Client:
        @contextlib.contextmanager
        def connected(_: Engine) -> Iterator[Client]:
            yield client

        monkeypatch.setattr(swarm, "connected", connected)
        swarm.label_only(ENGINE, LABEL, "dog")
        return client

    return put


@pytest.mark.parametrize("conflicts", [0, 1, swarm.LABEL_TRIES - 1])
def test_the_label_is_on_one_node_and_the_others_stay(label: Any, conflicts: int) -> None:
    client = label(Client(conflicts))
    assert client.labels == {"dog": {"disk": "ssd", LABEL: "true"}, "cat": {}}
    assert client.asked == conflicts, "a node is read again after a conflict only"


def test_a_node_that_always_changes_is_an_error_in_the_end(label: Any) -> None:
    with pytest.raises(docker.errors.APIError, match="out of sequence"):
        label(Client(swarm.LABEL_TRIES))
