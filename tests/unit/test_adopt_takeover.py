"""The takeover, step by step, and what a second run goes on with."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from components.swarm.engine import Tls, find_engine
from ops.adopt import takeover
from ops.adopt.original import (
    Docker,
    Mount,
    Original,
    find_registry,
    node_of,
)
from ops.adopt.planning import swarm_stack_of
from ops.adopt.preparation import mounts
from ops.bootstrap.console import UserError
from ops.config import Config
from ops.stack import Stack

from .shared_adopt import (
    LABELS,
    FakeDocker,
    original,
)


class Swarm(Docker):
    """Docker that records its commands."""

    def __init__(self, running: str = "") -> None:
        self.running = running
        self.commands: list[str] = []

    def __call__(self, *args: str) -> str:
        self.commands.append(" ".join(args))
        return self.running if args[:2] == ("service", "ps") else ""


def test_a_container_that_is_stopped_stays_so_when_the_engine_starts_again() -> None:
    docker = Swarm()
    container = original(is_service=False, id="c", restart="always")
    with pytest.raises(KeyboardInterrupt), takeover.stopped(docker, container, "app"):
        raise KeyboardInterrupt
    assert docker.commands[:2] == ["update --restart=no c", "stop c"]
    assert docker.commands[-2:] == ["update --restart=always c", "start c"]


@pytest.mark.parametrize(("running", "started"), [("Running 3 seconds ago", False), ("", True)])
def test_the_old_registry_is_started_only_if_the_new_one_does_not_run(
    running: str, started: bool
) -> None:
    docker = Swarm(running)
    with pytest.raises(KeyboardInterrupt), takeover.stopped(docker, original(id="c"), "app"):
        raise KeyboardInterrupt
    assert any("c=1" in command for command in docker.commands) is started


class Answer:
    """A function that gives one answer, and notes that it was asked."""

    def __init__(self, value: Any, name: str = "", calls: list[str] | None = None) -> None:
        self.value, self.name, self.calls = value, name, [] if calls is None else calls

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.calls.append(self.name)
        return self.value


class Steps:
    """A swarm with `registry`, on which each step of adopt is noted instead of done."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, registry: Original, known: Any = None
    ) -> None:
        self.done: list[str] = []
        self.operations: set[str] = {"import"}
        answers: dict[Any, dict[str, Any]] = {
            takeover: {
                "_configured": known or {},
                "_serves": False,
                "Docker": None,
                "find_registry": registry,
                "node_of": "dog",
                "reader": Answer(None),
            },
            Config: {"lead_docker": None},
        }
        steps: dict[Any, tuple[str, ...]] = {
            takeover: ("run", "prepare_for_import", "_stop", "_start"),
            Stack: ("ensure", "preview", "deploy"),
        }
        for module, values in answers.items():
            for name, value in values.items():
                monkeypatch.setattr(module, name, Answer(value))
        for module, names in steps.items():
            for name in names:
                monkeypatch.setattr(module, name, Answer(None, name, self.done))
        monkeypatch.setattr(takeover, "_operations", lambda *_: self.operations)


def test_nothing_is_touched_before_somebody_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    steps = Steps(monkeypatch, original())
    with pytest.raises(UserError, match="add YES=1"):
        takeover.adopt("prod", "app", None)
    assert steps.done == []


def test_a_refused_plan_touches_nothing_whoever_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YES", "1")
    steps = Steps(monkeypatch, original(mounts=[]))
    with pytest.raises(UserError, match="nothing was touched"):
        takeover.adopt("prod", "app", None)
    assert steps.done == []


def test_a_service_that_pulumi_would_delete_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YES", "1")
    steps = Steps(monkeypatch, original())
    steps.operations = {"replace", "create-replacement"}
    with pytest.raises(UserError, match="can't be changed in place"):
        takeover.adopt("prod", "app", None)
    assert "deploy" not in steps.done


def test_a_second_run_goes_on_where_the_first_was_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("YES", raising=False)
    known = {"registry:stackName": "app"}
    deployed = Steps(monkeypatch, original(is_deployed_by_us=True), known)
    takeover.adopt("prod", "app", None)
    assert deployed.done == ["deploy"]
    stopped = Steps(monkeypatch, original(name="c", is_service=False, is_stopped=True), known)
    takeover.adopt("prod", "app", None)
    assert stopped.done == ["deploy"]


def test_another_stacks_registry_and_one_that_does_not_run_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for registry, reason in (
        (original(is_deployed_by_us=True), "deployed by this program already"),
        (original(is_stopped=True), "only what runs is taken over"),
    ):
        steps = Steps(monkeypatch, registry, {"registry:stackName": "other"})
        with pytest.raises(UserError, match=reason):
            takeover.adopt("prod", "app", None)
        assert steps.done == []


def test_containers_of_compose_are_found() -> None:
    # As `docker inspect` shows one.
    raw = {
        "Id": "c",
        "Name": "/old_registry_1",
        "State": {"Running": True},
        "Args": ["serve", "/etc/docker/registry/config.yml"],
        "Config": {"Image": "registry:2", "Labels": LABELS, "Env": ["A=b"]},
        "HostConfig": {
            "RestartPolicy": {"Name": "always"},
            "PortBindings": {"5000/tcp": [{"HostIp": "", "HostPort": "5001"}]},
        },
        "Mounts": [{"Type": "volume", "Name": "v", "Source": "/x", "Destination": "/r"}],
        "NetworkSettings": {"Networks": {"web": {}}},
    }

    class Compose(FakeDocker):
        def __call__(self, *args: str) -> str:
            return {"ps -aq": "c", "info --format": "node"}.get(" ".join(args[:2]), "")

        def inspect(self, kind: str, *names: str) -> list[Any]:
            return [json.loads(json.dumps(raw))] if kind == "container" and names else []

    docker = Compose()
    registry = find_registry(docker, "my_old")
    assert (registry.restart, registry.ports, registry.networks) == ("always", [5001], ["web"])
    assert registry.mounts == [Mount("volume", "v", "/r")]
    assert swarm_stack_of(registry, "my_old") == "my-old"
    assert node_of(docker, registry) == "node"


def test_the_engine_is_the_one_of_the_stacks_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    # For the docker command, and for what the program's own clients do.
    for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_CONTEXT"):
        # So that they are as before afterwards.
        monkeypatch.setenv(name, "")
    begin = "-----BEGIN CERTIFICATE-----\n"
    parts = {"ca": begin + "a", "cert": begin + "c", "key": "-----BEGIN PRIVATE KEY-----\nk"}
    values = {"docker:host": "tcp://dog.example.com:2376"}
    values |= {f"docker:{name}Material": text for name, text in parts.items()}
    Config(stack="test", values=values, secret_keys=frozenset(values)).lead_docker()
    engine = find_engine(None)
    assert engine.host == "tcp://dog.example.com:2376"
    assert engine.tls == Tls(ca=parts["ca"], certificate=parts["cert"], key=parts["key"])


def test_settled_mounts_leave_pulumi_nothing_to_replace_a_service_for() -> None:
    # The provider makes a service anew for each mount with a label that comes or goes.
    labelled = {"Labels": {"com.docker.stack.namespace": "app"}}
    here = {
        "Type": "volume",
        "Source": "data",
        "Target": "/var/lib/registry",
        "VolumeOptions": labelled,
    }
    elsewhere = {**here, "Target": "/data", "VolumeOptions": {"NoCopy": True, **labelled}}
    bind = {"Type": "bind", "Source": "/srv", "Target": "/srv"}
    bare = {"Type": "volume", "Source": "data", "Target": "/data"}
    assert mounts([here, bind], "app", "data") == [bind, here]
    external = {"Type": "volume", "Source": "data", "Target": "/var/lib/registry/"}
    assert mounts([external], "app", "data") == [here], "docker gives an external volume no label"
    assert mounts([elsewhere], "app", "data") == [
        bare | {"VolumeOptions": {"NoCopy": True}},
        here,
    ]
    assert mounts([here], "app", None) == [bare | {"Target": "/var/lib/registry"}]
