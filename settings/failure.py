"""The end of a run that fails: one message, and no second one of Pulumi's."""

from __future__ import annotations

import sys
from typing import NoReturn, TypeVar

import pulumi

from settings.remedies import explain

T = TypeVar("T")
EXIT_ALREADY_REPORTED = 32
"""Exit code by which Pulumi knows that the program has shown its error; any other gets it a
second, vaguer one."""


def fail(error: Exception) -> NoReturn:
    """Show what stands against the run, with what to type, and end it.

    Any other error is raised as it is: its traceback is needed.
    """
    if not isinstance(error, pulumi.RunError):
        raise error
    pulumi.log.error(explain(error, pulumi.get_stack()))
    sys.exit(EXIT_ALREADY_REPORTED)


def failing(output: pulumi.Output[T]) -> pulumi.Output[T]:
    """Return an output whose error ends the run as `fail` does.

    The error of an output is otherwise shown by Pulumi itself, which then exits with 1.
    """
    return output.recover(fail)
