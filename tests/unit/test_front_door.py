"""The Makefile: what is typed reaches the commands as it was typed, and the grave ones ask."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ops import resume
from ops.__main__ import BARE, COMMANDS, ENVIRONMENT, arguments, refuse_strange
from ops.bootstrap import ROOT
from ops.bootstrap.console import UserError
from ops.bootstrap.environment import LOCAL
from ops.commands import ACTIONS
from ops.stack import Stack

ODD = ("x; touch HERE/made", "$(touch HERE/made)", "$(shell touch HERE/made)", "a'b\"c `id` $$HOME")


@pytest.fixture(autouse=True)
def no_make_above(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `make check`, a make that is called would say which folder it enters."""
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def makefile(tmp_path: Path) -> Path:
    """Return a folder with the Makefile alone: without a virtual environment, it calls python3."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    return tmp_path


@pytest.fixture
def printer(tmp_path: Path) -> Path:
    """Return a folder with a `python3` that prints the variables which a command finds."""
    program = tmp_path / "bin/python3"
    program.parent.mkdir()
    names = "STACK FROM FORMAT SLOW YES"
    program.write_text(f'#!/bin/sh\nfor name in {names}; do printenv "$name" || echo; done\n')
    program.chmod(0o755)
    return program.parent


@pytest.mark.parametrize("origin", ["typed", "environment"])
@pytest.mark.parametrize("text", ODD)
def test_no_shell_reads_what_a_variable_says(
    makefile: Path, printer: Path, text: str, origin: str
) -> None:
    text = text.replace("HERE", str(makefile))
    values = {"STACK": text, "FROM": text, "FORMAT": text, "SLOW": text, "YES": text}
    args = [f"{name}={value}" for name, value in values.items()]
    path = f"{printer}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["make", "-s", "deploy", *(args if origin == "typed" else ())],
        cwd=makefile,
        env={**os.environ, "PATH": path, **(values if origin == "environment" else {})},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [text] * len(values)
    assert not (makefile / "made").exists()


@pytest.mark.parametrize("typed", ["ci", "it's $$HOME", ""])
def test_the_user_of_a_shell_is_not_the_user_of_a_registry(makefile: Path, typed: str) -> None:
    program = makefile / "python3"
    program.write_text("#!/bin/sh\nprintenv LOGIN_USER\n")
    program.chmod(0o755)
    path = f"{makefile}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["make", "-s", "login", *([f"USER={typed}"] if typed else [])],
        cwd=makefile,
        env={**os.environ, "PATH": path, "USER": "root"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"{typed}\n"
    assert arguments(["login"], {"USER": "root"}).user is None
    assert arguments(["login"], {"USER": "root", "LOGIN_USER": "ci"}).user == "ci"


def test_a_command_reads_its_own_variables_alone() -> None:
    variables = {"STACK": "--yes; id", "FROM": "it's", "NAME": "WSL", "FORMAT": "nonsense"}
    adopt = arguments(["adopt"], variables)
    assert vars(adopt) == {
        "command": "adopt",
        "stack": "--yes; id",
        "source": "it's",
        "logins": None,
    }
    assert vars(arguments(["up"], variables)) == {"command": "up"}
    assert arguments(["deploy"], {"STACK": ""}).stack == LOCAL
    assert arguments(["logs"], {"FOLLOW": "1"}).follow


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ("preview", {"FORMAT": "nonsense"}),
        ("doctor", {"SLOW": "long"}),
        ("doctor", {"SLOW": "-1"}),
        ("doctor", {"SLOW": "999999999"}),
        ("logs", {"FOLLOW": "0"}),
        ("adopt", {"LOGINS": "kept"}),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused(
    command: str, variables: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        arguments([command], variables)
    assert next(iter(variables.values())) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "typed", "message"),
    [
        ("gc", ["STACK", "DYR"], "DYR=… is no variable of `make gc`: .* Did you mean DRY"),
        ("clone", ["FROM", "TO", "DRY"], "DRY=… is no variable of `make clone`: it has FROM, TO"),
        ("restore", ["GENRATION"], "Did you mean GENERATION"),
        ("backup", ["verify"], "Did you mean VERIFY"),
        ("up", ["STACK"], "STACK=… is no variable of `make up`: it has none"),
        ("move", ["NODE", "NODES"], "Did you mean NODE"),
    ],
)
def test_a_variable_that_would_be_left_out_is_refused(
    command: str, typed: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        refuse_strange(command, typed)


def test_variables_of_other_programs_are_let_through() -> None:
    others = ["SSL_CERT_FILE", "DOCKER_HOST", "GOPROXY", "HOME", "PATH", "TERM", "YES", "CHECK"]
    for command, variables in COMMANDS.items():
        refuse_strange(command, [*variables, *others])


@pytest.mark.parametrize(("level", "names"), [("", ["DYR", "STACK"]), ("1", [])])
def test_make_says_what_was_typed(
    makefile: Path, printer: Path, level: str, names: list[str]
) -> None:
    (printer / "python3").write_text("#!/bin/sh\nprintenv TYPED\n")
    done = subprocess.run(
        ["make", "-s", "gc", "DYR=1", "STACK=a b=c"],
        cwd=makefile,
        env={"PATH": f"{printer}{os.pathsep}{os.environ['PATH']}", "FROM": "x", "MAKELEVEL": level},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert sorted(done.stdout.split()) == names


@pytest.mark.parametrize("name", ["a b", "../prod", "x" * 101, "", "org/prod", "prod\n"])
def test_a_stack_has_a_name_that_pulumi_takes(name: str) -> None:
    with pytest.raises(UserError, match="is no name of a stack"):
        Stack(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_its_own_variables_alone(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        arguments([name, "--help"], {})
    assert end.value.code == 0
    explained = re.findall(r"^  --(\S+)", capsys.readouterr().out, re.MULTILINE)
    assert [option.upper() for option in explained] == list(COMMANDS[name])


def test_a_form_of_one_command_is_none_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments(["status"], {"FORMAT": "json"}).format == "json"
    for command, form in (("status", "comment"), ("preview", "json")):
        with pytest.raises(SystemExit):
            arguments([command], {"FORMAT": form})
        assert form in capsys.readouterr().err


def test_each_command_is_done_in_one_place() -> None:
    assert {*BARE, *ACTIONS} == set(COMMANDS)
    assert not set(BARE) & set(ACTIONS)


def test_a_command_refuses_the_options_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["up", "--from", "x"], {})
    assert "--from x" in capsys.readouterr().err


def test_what_is_typed_comes_before_the_environment() -> None:
    assert arguments(["deploy", "--stack", "prod"], {"STACK": "stag"}).stack == "prod"


@pytest.mark.parametrize(
    ("files", "begins"),
    [
        ((), "python3"),
        (("bin/python", ".requirements.txt"), ".venv/bin/python"),
        (("bin/python", ".requirements.txt", ".unfinished"), "python3"),
        (("bin/python",), "python3"),
        ((".requirements.txt",), "python3"),
    ],
)
def test_a_command_begins_in_the_virtual_environment_where_that_is_whole(
    makefile: Path, files: tuple[str, ...], begins: str
) -> None:
    for name in files:
        path = makefile / ".venv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    command = ["make", "--dry-run", "up"]
    done = subprocess.run(
        command, cwd=makefile, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{begins} -m ops up\n"


def test_help_names_each_command_in_a_terminal_of_80_columns() -> None:
    done = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert set(re.findall(r"^  make (\S+)", done.stdout, re.MULTILINE)) == {"help", *COMMANDS}
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


def test_the_makefile_hands_on_every_variable_that_a_command_reads() -> None:
    makefile = (ROOT / "Makefile").read_text()
    handed_on = makefile.partition("VARIABLES := ")[2].partition("\n")[0].split()
    names = {name for variables in COMMANDS.values() for name in variables}
    assert names - set(ENVIRONMENT) <= set(handed_on)
    for name in ENVIRONMENT.values():
        assert re.search(rf"^export override {name} :=", makefile, re.MULTILINE)


def asked(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Return the stacks that `make down STACK=name` goes on to touch."""
    removed: list[str] = []
    monkeypatch.setattr(Stack, "ensure", lambda stack: removed.append(stack.name))
    monkeypatch.setattr(Stack, "_alone", lambda *_: None)
    monkeypatch.setattr(resume, "clean_up", lambda _: None)
    Stack(name).down()
    return removed


def test_a_stack_is_removed_when_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert asked(monkeypatch, "local") == ["local"]
    with pytest.raises(UserError, match=r"stack prod.*add YES=1"):
        asked(monkeypatch, "prod")
    monkeypatch.setenv("YES", "1")
    assert asked(monkeypatch, "prod") == ["prod"]


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("\n", False), ("n\n", False)])
def test_at_a_terminal_a_person_is_asked(answer: str, goes_on: bool) -> None:
    ours, theirs = pty.openpty()
    code = """\
        from ops.bootstrap.console import confirm, main
        main(lambda: confirm("Remove it?"))
        """
    os.write(ours, answer.encode())
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        stdin=theirs,
        env={name: value for name, value in os.environ.items() if name != "YES"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(ours)
    os.close(theirs)
    assert done.stderr.startswith("Remove it? [y/N] ")
    assert (done.returncode == 0) is goes_on
