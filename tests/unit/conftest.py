"""Mocks: a program's registrations, recorded, with no engine behind them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import signal
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.settings import SETTINGS

from components.errors import DeploymentError
from components.swarm.engine import Engine
from components.swarm.inspect import Network, Node, RunningService, Swarm
from settings.remedies import explain
from testing import processes

from .shared_ops import home
from .shared_rights import runner

__all__ = ["home", "runner"]


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item) -> Generator[None, object, object]:
    """Have the alarm end the test's processes too: it may be waiting for one with no limit."""
    result = yield
    fail = signal.getsignal(signal.SIGALRM)
    ends_processes = "_no_process_is_left" in getattr(item, "fixturenames", ())
    if ends_processes and callable(fail):
        before = processes.children()

        def alarm(number: int, frame: FrameType | None) -> None:
            processes.end_children(before)
            fail(number, frame)

        signal.signal(signal.SIGALRM, alarm)
    return result


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """End the processes that a test leaves behind, and fail it."""
    # A swarm of the system tests is no business of this test's.
    before = processes.children()
    with processes.adopting_orphans():
        yield
        left = processes.end_children(before)
    assert left == []


class Recorder(mocks.Mocks):
    """Mocks that record each registered resource, by logical name."""

    def __init__(self) -> None:
        self.registered: dict[str, mocks.MockResourceArgs] = {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.registered[args.name] = args
        outputs = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            outputs["result"] = pulumi.runtime.rpc.wrap_rpc_secret("p" * int(args.inputs["length"]))
        if args.typ == "random:index/randomBytes:RandomBytes":
            salt = base64.b64encode(b"\1" * int(args.inputs["length"])).decode()
            outputs["base64"] = pulumi.runtime.rpc.wrap_rpc_secret(salt)
        outputs.setdefault("name", f"{args.name}-1234567")
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        if args.token == "docker:index/getNetwork:getNetwork":
            return {"id": "joined-id", "name": args.args["name"]}, []
        raise AssertionError(f"a call that no mock answers: {args.token}")

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the inputs of all resources whose type ends in `kind`, by logical name."""
        return {
            name: args.inputs
            for name, args in self.registered.items()
            if args.typ.endswith(f":{kind}")
        }


class _Hooks:
    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        pass


Deploy = Callable[[Callable[[], Any]], Recorder]


@pytest.fixture
def deploy() -> Iterator[Deploy]:
    """Run a program under mocks to its end; the record is whole only then."""

    def run(program: Callable[[], Any]) -> Recorder:
        recorder = Recorder()
        loop = asyncio.new_event_loop()
        # What fails is raised below; asyncio would print it once more for each output after it.
        loop.set_exception_handler(lambda *_: None)
        asyncio.set_event_loop(loop)
        pulumi.runtime.set_mocks(recorder, project="registry", stack="test", preview=False)
        # Mocks have no server for hooks: they are taken, and never called.
        SETTINGS.callbacks = _Hooks()
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
        return recorder

    yield run
    asyncio.set_event_loop(None)


@contextlib.contextmanager
def refused(kind: type[DeploymentError], text: str, stack: str = "prod") -> Iterator[None]:
    """Expect such an error, whose text as the program shows it matches `text`."""
    with pytest.raises(kind) as error:
        yield
    shown = explain(error.value, stack)
    assert re.search(text, shown), shown


def node(name: str, *, labels: dict[str, str] | None = None, **changes: Any) -> Node:
    """Return a ready, active manager; its id is `<name>-id`."""
    about: dict[str, Any] = {"state": "ready", "availability": "active"} | changes
    return Node(id=f"{name}-id", name=name, labels=labels or {}, **about)


def swarm(*nodes: Node, networks: tuple[Network, ...] = (), **images: str) -> Swarm:
    """Return a swarm of these nodes, seen from the first."""
    return Swarm(
        engine=Engine(host="unix:///nowhere.sock"),
        node_id=nodes[0].id if nodes else "none",
        nodes=nodes,
        networks={network.name: network for network in networks},
        services={name: RunningService(name=name, image=image) for name, image in images.items()},
    )
