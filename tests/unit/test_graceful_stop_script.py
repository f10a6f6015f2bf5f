"""The script that a registry's task stops by."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.distribution.service import GRACEFUL_STOP
from components.files import FOLDER
from ops.bootstrap import ROOT

SERVER = "trap 'echo drained; exit 3' TERM; echo up; while :; do sleep 0.1; done"
"""Shell: ends when it is asked to, as the registry does."""


@contextlib.contextmanager
def graceful(
    delay: str, *command: str, script: str = GRACEFUL_STOP
) -> Iterator[subprocess.Popen[str]]:
    """Run the script with a command, in a group of its own, which ends with process 1."""
    command_line = ["sh", "-c", script, "graceful-stop", delay, *command]
    with subprocess.Popen(
        command_line, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            # Until the last of it has gone. Those whose parent ended are this process's children
            # by now, and stay in the group until it has waited for them.
            with contextlib.suppress(ProcessLookupError):
                for _ in range(100):
                    os.killpg(process.pid, signal.SIGKILL)
                    process.poll()
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(-process.pid, os.WNOHANG)
                    time.sleep(0.02)


def test_a_task_that_must_end_serves_on_and_then_drains() -> None:
    with graceful("0.5", "sh", "-c", SERVER) as task:
        assert task.stdout
        assert task.stdout.readline() == "up\n"
        task.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            task.wait(0.3)
        assert task.wait(10) == 3
        assert task.stdout.read() == "drained\n"


def test_a_task_that_fails_by_itself_says_so() -> None:
    with graceful("5", "sh", "-c", "exit 7") as task:
        assert task.wait(10) == 7


def test_a_task_that_fails_while_it_lingers_says_so() -> None:
    with graceful("60", "sh", "-c", "echo up; sleep 0.5; exit 7") as task:
        assert task.stdout
        assert task.stdout.readline() == "up\n"
        task.terminate()
        assert task.wait(10) == 7


LINES = GRACEFUL_STOP.splitlines()


@pytest.mark.parametrize(
    "line", range(LINES.index("trap stop TERM"), LINES.index('    wait "$child"'))
)
def test_a_stop_after_any_line_of_the_script_is_not_lost(line: int) -> None:
    stretched = [*LINES[: line + 1], "echo here; sleep 0.4", *LINES[line + 1 :]]
    with graceful("0", "sh", "-c", SERVER, script="\n".join(stretched)) as task:
        assert task.stdout
        output = [next(task.stdout)]
        while output[-1] != "here\n":
            output.append(next(task.stdout))
        task.terminate()
        assert task.wait(10) in (3, 143)
        output += list(task.stdout)
    assert "drained\n" in output or "up\n" not in output


def test_scripts_are_sound_shell() -> None:
    scripts = sorted([*FOLDER.glob("*.sh"), *ROOT.glob("testing/**/*.sh")])
    checker = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [checker, *scripts], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout
    assert len(scripts) == 5
