"""`make check` and `make test`: what they run, and that nothing that fails is passed over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ops import checks
from ops.bootstrap import ROOT, virtualenv
from ops.bootstrap.console import UserError
from ops.checks import SYSTEM, UNIT


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the only folder on PATH: its commands record their arguments and succeed."""
    monkeypatch.setattr(virtualenv, "ensure", lambda _: {"PATH": str(tmp_path)})
    for name in ("ruff", "mypy", "pytest", "python"):
        write(tmp_path, name, 0)
    return tmp_path


def write(folder: Path, name: str, code: int) -> None:
    program = folder / name
    program.write_text(f'#!/bin/sh\necho "{name} $*" >>{folder}/log\nexit {code}\n')
    program.chmod(0o755)


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


def test_check_runs_the_static_checks_and_the_unit_tests(commands: Path) -> None:
    checks.check()
    assert {"ruff format --check .", "ruff check .", "mypy "} < set(log(commands))
    (tests,) = (line for line in log(commands) if line.startswith("pytest"))
    assert tests.endswith(f" {UNIT}")


def test_fmt_mends_and_formats_and_checks_nothing(commands: Path) -> None:
    checks.format_code()
    assert log(commands) == ["ruff check --fix-only .", "ruff format ."]


@pytest.mark.parametrize("name", ["ruff", "mypy", "pytest"])
def test_whatever_fails_is_named_and_the_rest_is_run(commands: Path, name: str) -> None:
    write(commands, name, 1)
    with pytest.raises(UserError, match=f"failed: {name}"):
        checks.check()
    assert {line.split()[0] for line in log(commands)} == {"ruff", "mypy", "pytest"}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("-k 'mirrors or redis'", f"-k mirrors or redis {UNIT}"),
        (f"{UNIT}/test_ops.py::test_x", f"{UNIT}/test_ops.py::test_x"),
    ],
)
def test_some_tests_can_be_chosen(commands: Path, args: str, expected: str) -> None:
    checks.check(args)
    (tests,) = (line for line in log(commands) if line.startswith("pytest"))
    assert sorted(tests.split()[-len(expected.split()) :]) == sorted(expected.split())


def test_a_chosen_unit_test_needs_no_root_and_no_engine(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_prepare_system_tests", lambda: pytest.fail("isn't needed"))
    checks.run_all(f"{UNIT}/test_ops.py")
    assert log(commands)[-1].endswith(f" {UNIT}/test_ops.py")
    assert SYSTEM not in log(commands)[-1]


def test_system_tests_without_root_are_left_out_where_nobody_asked_for_them(
    commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.delenv("CI", raising=False)
    checks.run_all()
    assert log(commands)[-1].endswith(UNIT)
    with pytest.raises(UserError, match="takes root"):
        checks.run_all(f"{SYSTEM}/test_mirrors.py")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(UserError, match="takes root"):
        checks.run_all()


@pytest.mark.usefixtures("commands")
def test_arguments_that_end_within_a_quote_are_refused() -> None:
    with pytest.raises(UserError, match="No closing quotation"):
        checks.check("-k 'mirrors")


def test_each_test_has_the_mark_of_its_folder(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("unit")
    assert not request.node.get_closest_marker("system")
    files = ["tests/unit/test_label.py", "tests/system/test_updates.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0", "-m", "system", *files],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    tests = [line for line in done.stdout.splitlines() if "::" in line]
    assert tests
    assert all(line.startswith("tests/system/") for line in tests)
