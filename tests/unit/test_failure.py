"""How a run ends whose services don't come up: with one message."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from pulumi.runtime.settings import ROOT, SETTINGS

from components.errors import RolloutFailedError
from components.swarm import rollout
from components.swarm.engine import Engine
from components.swarm.rollout import RolloutArgs
from settings.failure import EXIT_ALREADY_REPORTED, fail

from .conftest import Deploy

# A program that exits leaves coroutines behind; that is no mistake.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", shown.append)
    return shown


def end(deploy: Deploy, monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    """Run a program to its end, with a service that fails with `error`, and outputs made of it."""

    def wait(*_: object) -> None:
        if error:
            raise error

    def program() -> pulumi.Output[Any]:
        name = pulumi.Output.from_input("s_registry")
        service: Any = SimpleNamespace(
            resource=SimpleNamespace(name=name), task=None, endpoint=None
        )
        args = RolloutArgs(timeout=300, fail=fail)
        ready = rollout.running(Engine(host="unix:///nowhere.sock"), [service], args)
        return pulumi.Output.all(ready, ready.apply(lambda _: "url"))

    monkeypatch.setattr(rollout, "deploys", lambda: True)
    monkeypatch.setattr(rollout, "summary_output", lambda *_: pulumi.Output.from_input("…"))
    monkeypatch.setattr(rollout, "wait_until_running", wait)
    try:
        deploy(program)
    finally:
        # The stack of this run may not have been registered to its end; others get one of theirs.
        ROOT.set(None)
        SETTINGS.outputs.clear()
        asyncio.get_event_loop().close()
        gc.collect()


def test_an_error_of_a_rollout_is_the_only_message(
    deploy: Deploy, errors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as exit_:
        end(
            deploy,
            monkeypatch,
            RolloutFailedError("s_registry doesn't run: pulumi config set docker:host X"),
        )
    assert exit_.value.code == EXIT_ALREADY_REPORTED
    assert errors == ["s_registry doesn't run: pulumi config set --stack test docker:host X"]


def test_a_mistake_in_the_program_keeps_its_traceback(
    deploy: Deploy, errors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZeroDivisionError):
        end(deploy, monkeypatch, ZeroDivisionError())
    assert errors == []


def test_what_runs_ends_well(
    deploy: Deploy, errors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    end(deploy, monkeypatch, None)
    assert errors == []
