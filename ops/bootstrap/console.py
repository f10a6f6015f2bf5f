"""What whoever runs a command sees: progress on stderr, one clear error, no tracebacks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

T = TypeVar("T")

LIMIT_SECONDS = 300
"""Time limit of a command that neither downloads nor compiles, seconds."""


class UserError(Exception):
    """Error that whoever runs the command can mend; its text says how."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: the same as Ctrl-C, but that nobody else got it."""


def say(text: str) -> None:
    """Print one line of progress. stdout stays free for results."""
    print(text, file=sys.stderr, flush=True)


def main(command: Callable[[], None]) -> NoReturn:
    """Run `command` and exit: 1 with one line on a UserError, 130 on Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        command()
    except UserError as problem:
        say(f"error: {problem}")
        sys.exit(1)
    except subprocess.TimeoutExpired as late:
        say(f"error: {_late(late)}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _terminate(_: int, __: FrameType | None) -> None:
    raise Terminated


def confirm(question: str) -> None:
    """Return once a person at a terminal says yes, or if YES=1 is set; else raise UserError."""
    if os.environ.get("YES") == "1":
        return
    if not sys.stdin.isatty():
        raise UserError(f"{question} Nobody is there to ask; to say yes beforehand, add YES=1")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("nothing was changed")


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait for whoever else is at work in `folder`, and keep others waiting meanwhile.

    The lock goes with the process that has it, however that ends.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Network file systems may refuse to lock a folder: Pulumi has locks of its own.
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another command is at work in {folder}: waiting for its end")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file such that, whenever this is interrupted, there is all of it or none of it."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    Path(draft).chmod(mode)
    Path(draft).replace(path)


def run(
    command: Sequence[str | Path],
    *,
    timeout: float = LIMIT_SECONDS,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Return what `command` prints.

    Raises a UserError with its last words when it fails or is late.
    """
    shown = _shown(command)
    try:
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            cwd=cwd,
            env=env,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
        )
    except FileNotFoundError:
        raise UserError(f"`{command[0]}` is not installed") from None
    except subprocess.TimeoutExpired as late:
        raise UserError(_late(late)) from None
    except subprocess.CalledProcessError as error:
        last = last_words(error.stderr or error.stdout) or f"exit status {error.returncode}"
        raise UserError(f"`{shown}`: {last}") from None
    return done.stdout


def _shown(command: Sequence[str | Path]) -> str:
    """Return the command as messages have it: without what follows its first words."""
    return " ".join(str(word) for word in command[:4])


def _late(late: subprocess.TimeoutExpired) -> str:
    return f"`{_shown(late.cmd)}` gave no answer within {late.timeout:g} s"


def last_words(output: str, lines: int = 3) -> str:
    """Return the end of an output as one line: where tools say what went wrong."""
    return " / ".join([line.strip() for line in output.splitlines() if line.strip()][-lines:])


def wait(event: str, ready: Callable[[], T], seconds: float, *, every: float = 0.2) -> T:
    """Return the first true answer of `ready`; a UserError in `ready` counts as "not yet".

    Says what is being waited for once it takes 5 s, then every 10 s. After `seconds` a UserError
    that names it, with the last answer.
    """
    start, reported = time.monotonic(), -5.0
    while True:
        try:
            answer = ready()
            if answer:
                return answer
            last = "" if answer is None or answer is False else f"; last answer: {answer!r}"
        except UserError as problem:
            last = f"; last answer: {problem}"
        waited = time.monotonic() - start
        if waited >= seconds:
            raise UserError(f"waited {seconds:g} s for {event}{last}")
        if waited - reported >= 10:
            say(f"waiting for {event} ({waited:.0f} s of at most {seconds:g} s)")
            reported = waited
        time.sleep(every)
