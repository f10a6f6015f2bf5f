"""How a run ends whose services don't come up: with one message."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pulumi
import pytest
from pulumi.runtime.settings import ROOT, SETTINGS

from components.errors import RolloutFailedError
from settings.failure import EXIT_ALREADY_REPORTED, failing

from .conftest import Deploy

# A program that exits leaves coroutines behind; that is no mistake.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", shown.append)
    return shown


def end(deploy: Deploy, error: Exception | None) -> None:
    """Run a program to its end, with an output that fails and others made of it."""

    async def wait(value: str) -> str:
        if error:
            raise error
        return value

    def program() -> pulumi.Output[Any]:
        rollout: pulumi.Output[str] = pulumi.Output.from_input("runs").apply(wait)
        ready = failing(rollout)
        pulumi.Output.all(ready, "url").apply(lambda values: values[1])
        return ready.apply(lambda value: pulumi.log.error(value) if value != "runs" else None)

    try:
        deploy(program)
    finally:
        # The stack of this run may not have been registered to its end; others get one of theirs.
        ROOT.set(None)
        SETTINGS.outputs.clear()
        asyncio.get_event_loop().close()
        gc.collect()


def test_an_error_of_a_rollout_is_the_only_message(deploy: Deploy, errors: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        end(deploy, RolloutFailedError("s_registry doesn't run: pulumi config set docker:host X"))
    assert exit_.value.code == EXIT_ALREADY_REPORTED
    assert errors == ["s_registry doesn't run: pulumi config set --stack test docker:host X"]


def test_a_mistake_in_the_program_keeps_its_traceback(deploy: Deploy, errors: list[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        end(deploy, ZeroDivisionError())
    assert errors == []


def test_what_runs_ends_well(deploy: Deploy, errors: list[str]) -> None:
    end(deploy, None)
    assert errors == []
