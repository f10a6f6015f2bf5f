"""`make status`: what is read of a stack and of its swarm, before any line is made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ops import checkpoint, history, inventory
from ops.bootstrap.console import UserError
from ops.config import Config
from ops.stack import Stack
from ops.status import snapshot

from .shared_status import NOW, inputs, node, service, stack, swarm, task


class Client:
    """A manager with the registry of one stack, and a service of another."""

    control = True

    def info(self) -> Mapping[str, Any]:
        about = {"LocalNodeState": "active", "ControlAvailable": self.control, "NodeID": "n"}
        about["Cluster"] = {"ID": "swarm-of-the-stack"}
        return {"Swarm": about, "SystemTime": "2026-11-26T12:00:00.5Z"}

    def services(self) -> list[Mapping[str, Any]]:
        relabelled = service("images_proxy", Labels={})
        return [service(), relabelled, service("other", Labels={})]

    def networks(self, filters: Mapping[str, str]) -> list[Mapping[str, Any]]:
        return [{"Id": f"network-{filters['driver']}"}]

    def secrets(self) -> list[Mapping[str, Any]]:
        return [{"ID": "secret-1"}]

    def nodes(self) -> list[Mapping[str, Any]]:
        return [node()]

    def tasks(self, filters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        assert filters == {"service": ["images_registry-id", "images_proxy-id"]}
        return [task(), task("failed", hours=1)]


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    """Return the class of the client by which the engine is talked to."""

    class Manager(Client):
        pass

    @contextlib.contextmanager
    def connected(*_: object) -> Iterator[Client]:
        yield Manager()

    class Here:
        host = "unix:///run/docker.sock"

    monkeypatch.setattr(inventory, "connected", connected)
    monkeypatch.setattr(Stack, "endpoint", Here)
    monkeypatch.setattr(Stack, "config", stack().config)
    return Manager


def test_a_swarm_is_read_once_as_far_as_it_is_the_stacks(manager: type[Client]) -> None:
    assert manager.control
    with snapshot.swarm_of(Stack("prod"), ["images_proxy"]) as there:
        assert set(there.services) == {"images_registry", "images_proxy"}
        assert there.now == NOW
        assert there.node_names == {"n": "dog"}
        assert [each["Status"]["State"] for each in there.running("images_registry")] == ["running"]
        assert len(there.tasks_of("images_registry")) == 2
        assert there.running("images_other") == []
        assert there.ids == {
            "services": {"images_registry-id", "images_proxy-id", "other-id"},
            "networks": {"network-overlay"},
            "secrets": {"secret-1"},
        }


def test_a_worker_is_refused(manager: type[Client]) -> None:
    manager.control = False
    with pytest.raises(ValueError, match="worker"), snapshot.swarm_of(Stack("prod"), []):
        pass


def test_another_swarm_is_refused(manager: type[Client]) -> None:
    assert manager.control
    with (
        pytest.raises(
            UserError, match=r"deployed to swarm swarm-of-before, and the engine at unix"
        ),
        snapshot.swarm_of(Stack("prod"), [], "swarm-of-before"),
    ):
        pass


def test_a_swarm_without_the_stack_has_no_tasks(
    manager: type[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "services", lambda _: [])
    with snapshot.swarm_of(Stack("prod"), []) as there:
        assert (there.services, there.tasks) == ({}, [])


def test_a_stack_is_what_its_state_and_its_history_have(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = stack(inputs(), inputs("images_proxy"))
    entries = [{"kind": "update"}]
    monkeypatch.setattr(Stack, "config", expected.config)
    monkeypatch.setattr(Stack, "last_outputs", expected.outputs)
    monkeypatch.setattr(checkpoint, "read", lambda _: expected.state)
    monkeypatch.setattr(history, "run", lambda command: json.dumps(entries) if command else "")
    known = snapshot.deployed(Stack("prod"))
    assert set(known.services) == {"images_registry", "images_proxy"}
    assert known.history == entries
    assert known.short("images_proxy") == "proxy"
    monkeypatch.setattr(Stack, "last_outputs", None)
    for name, command in (("prod", "make deploy STACK=prod"), ("local", "make up")):
        with pytest.raises(UserError, match=f"stack {name} isn't deployed: {command}$"):
            snapshot.deployed(Stack(name))


def test_what_isnt_set_is_empty() -> None:
    config = Config(stack="prod", values={})
    assert (config.log_level, config.brings_certificate) == (None, False)
    assert stack().state.noted("registry-data-place") == {}
    assert swarm().running("images_registry")
