"""Which of Pulumi's operations runs the program.

Pulumi tells a program whether it is a preview, and no more. Where `refresh` and `destroy` run it
too (`--run-program`), so that the provider talks to the engine that is configured, what the
program does besides its resources would be out of place: a node would be labelled, and a service
waited for, while both are about to go.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pulumi

_COMMANDS = {
    **{"up": "up", "update": "up"},
    **{"preview": "preview", "pre": "preview"},
    **{"destroy": "destroy", "down": "destroy", "dn": "destroy"},
    "refresh": "refresh",
}
"""Operations by the words that `pulumi` takes for them."""


def deploys() -> bool:
    """Return whether this run makes and changes what the program declares."""
    return not pulumi.runtime.is_dry_run() and operation() in ("up", None)


@functools.cache
def operation() -> str | None:
    """Return `up`, `preview`, `refresh` or `destroy`; None where no `pulumi` started this."""
    for command in _ancestors(os.getppid()):
        if name := operation_of(command):
            return name
    return None


@functools.cache
def is_partial() -> bool:
    """Return whether this run leaves resources out: `--target`, `--exclude` and the like."""
    return any(
        is_partial_of(command) for command in _ancestors(os.getppid()) if operation_of(command)
    )


def is_partial_of(command: Sequence[str]) -> bool:
    """Return whether a command line of `pulumi` names resources to keep to, or to leave out."""
    return any(re.match(r"(--(target|target-replace|exclude)(=|$)|-t)", word) for word in command)


@functools.cache
def option(name: str) -> str | None:
    """Return the value that `pulumi` was given for `name`, such as `--config-file`; else None."""
    for command in _ancestors(os.getppid()):
        if operation_of(command):
            return option_of(command, name)
    return None


def option_of(command: Sequence[str], name: str) -> str | None:
    """Return the value for `name` in a command line: `NAME VALUE` or `NAME=VALUE`."""
    for word, after in zip(command, [*command[1:], ""], strict=True):
        if word == name:
            return after or None
        if word.startswith(f"{name}="):
            return word.partition("=")[2] or None
    return None


def operation_of(command: Sequence[str]) -> str | None:
    """Return the operation of a command line; None when it isn't one of `pulumi`."""
    if not command or Path(command[0]).stem != "pulumi":
        return None
    # The first one: stacks may have such a name, and come later.
    return next((_COMMANDS[word] for word in command[1:] if word in _COMMANDS), None)


def _ancestors(pid: int) -> Iterator[list[str]]:
    """Yield the command lines of a process and of those that started it, the nearest first."""
    while pid > 1:
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
            args = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
            # The name before it, in parentheses, may have blanks.
            pid = int(status.rpartition(")")[2].split()[1])
        except OSError:  # No Linux.
            line = ["ps", "-o", "ppid=,args=", "-p", str(pid)]
            try:
                shown = subprocess.run(
                    line, capture_output=True, text=True, check=True, timeout=10
                ).stdout
            except (OSError, subprocess.SubprocessError):
                return
            parent, *args = shown.split() or ["0"]
            pid = int(parent)
        yield args
