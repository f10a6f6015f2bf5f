"""The registry that tries an object store: nobody else reaches it, and nothing of it stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from components.distribution.config import CONFIG_PATH, PORT
from ops import store_check
from ops.bootstrap.console import Problem
from ops.store_check import LIFETIME_SECONDS, Store

STORE = Store(
    "live",
    "s3",
    {"storage": {"s3": {"bucket": "images", "region": "r", "secretkey": "hidden"}}},
    "registry:3",
    None,
)


def test_it_listens_where_nobody_else_reaches_it() -> None:
    document = json.loads(store_check._files(STORE)[CONFIG_PATH])
    assert document["http"]["addr"] == f"127.0.0.1:{PORT}"


def test_it_ends_and_is_gone_by_itself_and_no_command_line_has_its_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands: list[Sequence[Any]] = []

    def run(command: Sequence[Any], **_: object) -> str:
        commands.append(command)
        return "container"

    def put(*_: object) -> None:
        raise Problem("`docker cp`: no space left")

    monkeypatch.setattr(store_check, "run", run)
    monkeypatch.setattr(store_check, "_put", put)
    with pytest.raises(Problem, match="no space left"):
        store_check._tried(STORE)
    create = next(command for command in commands if command[1] == "create")
    assert "--rm" in create
    assert create[create.index("--entrypoint") + 1] == "timeout"
    assert create[create.index(STORE.image) + 1] == str(LIFETIME_SECONDS)
    assert commands[-1] == ["docker", "rm", "--force", "--volumes", "container"]
    assert "hidden" not in str(commands)
