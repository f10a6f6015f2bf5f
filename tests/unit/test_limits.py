"""Nothing waits for ever: neither a test nor a command that this project starts."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bootstrap import ROOT
from ops.checks import PYTEST

from .shared_python import printed_by_python

CONFTEST = "from tests.unit.conftest import _no_process_is_left, pytest_timeout_set_timer\n"
HANG = """
import subprocess
import threading
import pytest

def wait_in_a_thread():
    threading.Event().wait()

def wait_for_ever():
    threading.Thread(target=wait_in_a_thread, daemon=True).start()
    threading.Event().wait()
"""
TESTS = f"""{HANG}
@pytest.fixture
def slow():
    wait_for_ever()

def test_that_hangs():
    wait_for_ever()

def test_whose_fixture_hangs(slow):
    pass

def test_that_goes_on():
    pass
"""
CLEAN_UP = f"""{HANG}
def test_that_hangs_twice():
    try:
        wait_for_ever()
    finally:
        wait_for_ever()
"""
CHILD = f"""{HANG}
def test_that_waits_for_a_process():
    with subprocess.Popen(["sh", "-c", "sleep 1000; true"]):
        wait_for_ever()

def test_that_leaves_a_process_behind():
    subprocess.Popen(["sh", "-c", "sleep 1000 & exit"]).wait(10)
"""


def run_tests(folder: Path, text: str) -> str:
    """Return what pytest prints of the tests in `text`, run as `make test` does, with 2 s each."""
    (folder / "test_hang.py").write_text(text)
    (folder / "conftest.py").write_text(CONFTEST)
    limits = ("-o", "timeout=2", "-o", "faulthandler_timeout=6")
    config = ("-c", ROOT / "pyproject.toml", "--rootdir", folder, "-p", "no:cacheprovider")
    done = subprocess.run(
        # One worker, since a test that ends one is run by each.
        [sys.executable, "-m", *PYTEST, "--numprocesses=1", *config, *limits, folder],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


@pytest.mark.timeout(120)
def test_a_test_that_hangs_fails_with_every_stack_and_the_others_go_on(tmp_path: Path) -> None:
    printed = run_tests(tmp_path, TESTS)
    assert "2 failed" in printed or "1 failed, 1 passed, 1 error" in printed
    for test in ("test_that_hangs", "test_whose_fixture_hangs"):
        assert test in printed
    assert printed.count("in wait_for_ever") == 2
    assert printed.count("in wait_in_a_thread") >= 2


@pytest.mark.timeout(120)
def test_what_hangs_again_as_it_is_cleaned_up_ends_the_run_with_every_stack(
    tmp_path: Path,
) -> None:
    printed = run_tests(tmp_path, CLEAN_UP)
    assert "crashed while running 'test_hang.py::test_that_hangs_twice'" in printed
    assert "in wait_in_a_thread" in printed


@pytest.mark.timeout(120)
def test_a_process_ends_with_its_test(tmp_path: Path) -> None:
    printed = run_tests(tmp_path, CHILD)
    assert "in wait_for_ever" in printed
    assert "crashed" not in printed
    assert "sleep 1000" in printed


ORPHANS = """
import ctypes
import subprocess
from testing import processes

PR_GET_CHILD_SUBREAPER = 37

def adopts():
    answer = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer)

with processes.adopting_orphans():
    subprocess.Popen(["sh", "-c", "sleep 30 & exit"], stdout=subprocess.DEVNULL).wait(10)
    print(adopts(), len(processes.end_children()))
print(adopts())
"""


def test_orphans_are_adopted_during_a_test_alone() -> None:
    assert printed_by_python(ORPHANS).splitlines() == ["True 1", "False"]


FOLDERS = ("ops", "components", "settings", "policy", "bench", "testing", "tests")
MODULES = ("subprocess", "urllib.request")
STARTS = ("run", "call", "check_call", "check_output", "urlopen")
WAITS = ("wait", "communicate", "join")
REASON = "# No time limit: "


def without_limit(text: str) -> Iterator[str]:
    """Yield the calls that may wait for ever, unless a comment beside them says why they may."""
    lines = text.splitlines()
    for call in ast.walk(ast.parse(text)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        name, of = call.func.attr, ast.unparse(call.func.value)
        if name in STARTS and of in MODULES:
            limited = any(keyword.arg == "timeout" for keyword in call.keywords)
        else:
            limited = name not in WAITS or bool(call.args or call.keywords)
        # The line before the call, and its own.
        if not limited and REASON not in "\n".join(lines[call.lineno - 2 : call.end_lineno]):
            yield f"{call.lineno}: {of}.{name}"


def test_a_command_without_a_time_limit_is_found() -> None:
    text = "subprocess.run(args)\nsubprocess.run(args, timeout=1)\n"
    text += f"process.wait()\nprocess.wait(1)\n{REASON}it asks a person\nprocess.wait()\n"
    assert list(without_limit(text)) == ["1: subprocess.run", "3: process.wait"]


def test_each_command_has_a_time_limit_or_a_reason_for_none() -> None:
    files = [path for name in FOLDERS for path in (ROOT / name).rglob("*.py")]
    calls = [f"{path}:{call}" for path in files for call in without_limit(path.read_text())]
    assert calls == [], f"give each a timeout, or a comment that begins with {REASON!r}"
