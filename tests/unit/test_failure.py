"""How a run ends in which the engine refuses something midway: with one message."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from pulumi.runtime.settings import ROOT, SETTINGS

from components import Storage, StorageArgs, SwarmStack, VolumeOptions
from components.errors import DeploymentError
from components.run.deployed import Deployed
from components.run.target import Target
from components.swarm import rollback, rollout
from components.swarm.location import Volume
from components.swarm.rollout import RolloutArgs
from settings.failure import EXIT_ALREADY_REPORTED, fail

from .conftest import Deploy, node, swarm

# A program that exits leaves coroutines behind; that is no mistake.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", shown.append)
    return shown


SERVICE: Any = SimpleNamespace(
    resource=SimpleNamespace(name=pulumi.Output.from_input("s_registry")), task=None, endpoint=None
)


def services_that_run(target: Target) -> pulumi.Output[Any]:
    ready = rollout.running(target, [SERVICE], RolloutArgs(timeout=300))
    return pulumi.Output.all(ready, ready.apply(lambda _: "url"))


def rollbacks_without_harm(target: Target) -> pulumi.Output[Any]:
    return rollback.guard_rollbacks(target, [SERVICE], pulumi.Output.from_input(True))


def a_label(target: Target) -> pulumi.Output[Any]:
    options = VolumeOptions(name="s_registry-data")
    args = StorageArgs(
        stack=SwarmStack(name="s"),
        options=options,
        location=Volume(name="s_registry-data"),
        target=target,
    )
    return pulumi.Output.all(*Storage("registry-data", args).constraints)


ASK_THE_ENGINE = (services_that_run, rollbacks_without_harm, a_label)
"""All outputs for which the engine is asked or changed."""
Part = Callable[[Target], pulumi.Output[Any]]


def end(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, part: Part, error: Exception | None
) -> None:
    """Run a program with a part for which the engine is asked, and that fails with `error`."""

    def ask(*_: object) -> None:
        if error:
            raise error

    monkeypatch.setattr(rollout, "deploys", lambda: True)
    monkeypatch.setattr(rollout, "summary_output", lambda *_: pulumi.Output.from_input("…"))
    monkeypatch.setattr(rollout, "wait_until_running", ask)
    monkeypatch.setattr(rollback, "_guard", ask)
    monkeypatch.setattr("components.storage.label_only", ask)
    target = Target(swarm=swarm(node("dog")), deployed=Deployed(outputs={}), fail=fail)
    try:
        deploy(lambda: part(target))
    finally:
        # The stack of this run may not have been registered to its end; others get one of theirs.
        ROOT.set(None)
        SETTINGS.outputs.clear()
        asyncio.get_event_loop().close()
        gc.collect()


@pytest.mark.parametrize("part", ASK_THE_ENGINE)
def test_an_error_of_the_engine_is_the_only_message(
    deploy: Deploy, errors: list[str], monkeypatch: pytest.MonkeyPatch, part: Part
) -> None:
    error = DeploymentError("the engine is gone: pulumi config set docker:host X")
    with pytest.raises(SystemExit) as exit_:
        end(deploy, monkeypatch, part, error)
    assert exit_.value.code == EXIT_ALREADY_REPORTED
    assert errors == ["the engine is gone: pulumi config set --stack test docker:host X"]


@pytest.mark.parametrize("part", ASK_THE_ENGINE)
def test_a_mistake_in_the_program_keeps_its_traceback(
    deploy: Deploy, errors: list[str], monkeypatch: pytest.MonkeyPatch, part: Part
) -> None:
    with pytest.raises(ZeroDivisionError):
        end(deploy, monkeypatch, part, ZeroDivisionError())
    assert errors == []


@pytest.mark.parametrize("part", ASK_THE_ENGINE)
def test_what_runs_ends_well(
    deploy: Deploy, errors: list[str], monkeypatch: pytest.MonkeyPatch, part: Part
) -> None:
    end(deploy, monkeypatch, part, None)
    assert errors == []
