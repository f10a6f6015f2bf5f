"""Commands about users: who may log in, and what each may do."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ops import login
from ops.bootstrap.console import UserError
from ops.outputs import StackOutputs
from ops.stack import Stack
from ops.users import table
from settings import Settings, parse

from .program import raw

NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
PAST, FUTURE = "2026-11-26T11:59:59Z", "2026-11-27T10:00:00Z"
SECRET = "hunter2-but-longer"
HASH = "$2b$10$" + "a" * 53
GOOD = {"stackName": "images-com", "domain": "images.example.com"}
SECRETS = ("registry:passwords", "registry:hashedPasswords", "registry:formerPasswords")
TOKENS: dict[str, Any] = {
    "auth": "token",
    "users": ["admin", "ci", "deploy"],
    "passwords": {"admin": SECRET},
    "formerPasswords": {"admin": {"password": f"{SECRET}-2", "until": FUTURE}},
    "passwordVersions": {
        "ci": [
            {"version": "3"},
            {"version": "2", "until": FUTURE},
            {"version": "1", "until": PAST},
        ]
    },
    "hashedPasswords": {"robot-1": HASH},
    "access": [
        {"users": ["admin"], "actions": ["pull", "push", "delete", "catalog"]},
        {"users": ["ci", "robot-*"], "repositories": ["team/**"], "actions": ["pull", "push"]},
        {"users": ["*"], "actions": ["pull"]},
        {"anonymous": True, "repositories": ["public/**"], "actions": ["pull"]},
    ],
}


def settings(values: dict[str, Any]) -> Settings:
    """Return the settings of a stack with these values."""
    return parse(raw({**GOOD, **values}), SECRETS.__contains__, "test")


def test_the_table_has_each_user_with_passwords_and_rules() -> None:
    assert table(settings(TOKENS), NOW).splitlines() == [
        "https://images.example.com  registry:auth token",
        "",
        "USER      PASSWORD                      MAY",
        "admin     given                         everything",
        "          given before                  pull: all repositories",
        "            until 2026-11-27T10:00:00Z  pull: public/**",
        "ci        generated, version 3          pull, push: team/**",
        "          generated, version 2          pull: all repositories",
        "            until 2026-11-27T10:00:00Z  pull: public/**",
        "          generated, version 1",
        "            ended 2026-11-26T11:59:59Z",
        "deploy    generated, version 1          pull: all repositories",
        "                                        pull: public/**",
        "robot-1   hash taken over               pull, push: team/**",
        "                                        pull: all repositories",
        "                                        pull: public/**",
        "(anyone)  no login                      pull: public/**",
    ]


def test_where_the_registry_asks_for_logins_everybody_who_has_one_may_do_everything() -> None:
    generated = table(settings({"passwords": {"ci": SECRET}, "users": ["admin", "ci"]}), NOW)
    taken_over = table(settings({"hashedPasswords": {"ci": HASH}}), NOW)
    rows = [line.split(maxsplit=1) for line in generated.splitlines()[3:]]
    assert [user for user, _ in rows] == ["admin", "ci", "(anyone)"]
    assert [rest.split()[-1] for _, rest in rows] == ["everything", "everything", "nothing"]
    assert "hash taken over  everything" in taken_over
    assert "admin" not in taken_over


@pytest.mark.parametrize("values", [TOKENS, {"passwords": {"admin": SECRET}}])
def test_no_secret_is_in_the_table(values: dict[str, Any]) -> None:
    text = table(settings(values), NOW)
    assert SECRET not in text
    assert "$2b$" not in text


def test_the_table_fits_80_columns_whatever_names_are_in_it() -> None:
    user, repository = "u" * 100, "r" * 200
    rule = {"users": [user], "repositories": [repository], "actions": ["pull"]}
    versions = {user: [{"version": "v" * 64}]}
    values = {"auth": "token", "users": [user], "access": [rule], "passwordVersions": versions}
    lines = table(settings(values), NOW).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert "".join("".join(lines[3:]).split()).count("r") >= 200


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[str], str | None]]:
    """Return the commands that `make login` runs, each with its input."""
    done: list[tuple[Sequence[str], str | None]] = []

    def run(command: Sequence[str], *, stdin: str | None = None) -> str:
        done.append((command, stdin))
        return "Login Succeeded"

    monkeypatch.setattr(login, "run", run)
    return done


OUTPUTS = StackOutputs(
    url="https://images.example.com:8443",
    username="admin",
    passwords={"admin": SECRET, "it's me": f"{SECRET}-2"},
)


def deployed(monkeypatch: pytest.MonkeyPatch, outputs: StackOutputs = OUTPUTS) -> Stack:
    """Return a stack with these outputs, and a user of whom a hash alone is known."""
    stack = Stack("prod")
    monkeypatch.setattr(Stack, "ensure", lambda _: None)
    stack.__dict__["last_outputs"] = outputs
    values = {"auth": "token", "users": ["admin"], "hashedPasswords": {"robot-1": HASH}}
    stack.__dict__["settings"] = settings(values)
    return stack


@pytest.mark.parametrize(("user", "name"), [(None, "admin"), ("it's me", "it's me")])
def test_docker_reads_the_password_from_stdin(
    monkeypatch: pytest.MonkeyPatch,
    commands: list[tuple[Sequence[str], str | None]],
    user: str | None,
    name: str,
) -> None:
    login.login(deployed(monkeypatch), user, prints=False)
    command = ["docker", "login", "--username", name, "--password-stdin", "images.example.com:8443"]
    assert commands == [(command, OUTPUTS.passwords[name])]


def test_the_line_for_another_machine_hands_the_password_over_and_shows_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    login.login(deployed(monkeypatch), "it's me", prints=True)
    line = capsys.readouterr().out
    assert SECRET not in line
    # The shells of both machines take it apart; docker at the end of it gets what it shall.
    programs = {
        "pulumi": f"cat <<'end'\n{json.dumps(dict(OUTPUTS.passwords))}\nend",
        "ssh": 'shift; sh -c "$*"',
        "docker": 'printf "%s\\n" "$@"; cat',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "login",
        "--username",
        "it's me",
        "--password-stdin",
        "images.example.com:8443",
        f"{SECRET}-2",
    ]


def test_docker_asks_for_a_password_of_which_a_hash_alone_is_known(
    monkeypatch: pytest.MonkeyPatch,
    commands: list[tuple[Sequence[str], str | None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = "docker login --username robot-1 images.example.com:8443"
    with pytest.raises(UserError, match=line):
        login.login(deployed(monkeypatch), "robot-1", prints=False)
    login.login(deployed(monkeypatch), "robot-1", prints=True)
    assert capsys.readouterr().out == f"ssh -t HOST '{line}'\n"
    assert commands == []


def test_who_cannot_log_in_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"USER=cy: .* it has admin, it's me, robot-1"):
        login.login(deployed(monkeypatch), "cy", prints=False)
    with pytest.raises(UserError, match=r"USER=… missing"):
        login.login(deployed(monkeypatch, StackOutputs(url=OUTPUTS.url)), None, prints=False)
