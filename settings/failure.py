"""The end of a run that fails: one message, and no second one of Pulumi's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import pulumi

from components.swarm.rollout import RolloutArgs
from settings import Settings
from settings.advice import advice
from settings.remedies import explain

EXIT_ALREADY_REPORTED = 32
"""Exit code by which Pulumi knows that the program has shown its error; any other gets it a
second, vaguer one."""


def fail(error: Exception) -> NoReturn:
    """Show what stands against the run, with what to type, and end it.

    Any other error is raised as it is: its traceback is needed. In an `apply`, Pulumi itself would
    show the error, and exit with 1.
    """
    if not isinstance(error, pulumi.RunError):
        raise error
    pulumi.log.error(explain(error, pulumi.get_stack()))
    sys.exit(EXIT_ALREADY_REPORTED)


def rollout_args(settings: Settings, undo: Callable[[], Sequence[str]]) -> RolloutArgs:
    """Return how services are waited for, and what is said where one doesn't come up.

    `undo` takes back what Swarm doesn't, and returns what to say of it.
    """
    stack = pulumi.get_stack()
    return RolloutArgs(
        timeout=settings.deploy_timeout,
        retry_command=f"pulumi up --stack {stack}",
        advise=advice(settings, stack),
        undo=undo,
    )
