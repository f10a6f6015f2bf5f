"""How a stack's file is copied: its text, without what only its own secrets need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops import new_stack, stack, stack_secrets
from ops.bootstrap.console import UserError
from ops.config import Config

CONFIG = {
    "registry:stackName": "store",
    "registry:domain": "store.example.com",
    "registry:replicas": 2,
    "registry:passwords": {"ci.bot": {"secure": "v1:a"}},
    "registry:proxySecrets": {"A_B": {"secure": "v1:b"}, "C D": {"secure": "v1:c"}},
    "registry:config": {"a": [{"secure": "v1:d"}]},
    "docker:keyMaterial": {"secure": "v1:e"},
}
PLAIN = {
    "registry:proxySecrets": json.dumps({"A_B": "b", "C D": "c"}),
    "registry:config": json.dumps({"a": ["d"]}),
    "docker:keyMaterial": "e",
}


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str | None]]:
    """Return the commands that would be run, with their stdin; a stack `store` is known."""
    made: list[tuple[list[str], str | None]] = []

    def run(command: list[str], *, stdin: str | None = None, **_: Any) -> str:
        made.append((command, stdin))
        return ""

    (tmp_path / "Pulumi.store.yaml").write_text(
        f"# A comment.\nconfig: {json.dumps(CONFIG)}\nencryptionsalt: v1:x\n"
    )
    monkeypatch.setattr(stack, "ROOT", tmp_path)
    monkeypatch.setattr(stack, "names", lambda: ["store"])
    plain = Config(stack="store", values=PLAIN)
    monkeypatch.setattr(Config, "read", lambda *_, **__: plain)
    for module in (new_stack, stack_secrets):
        monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(new_stack, "_problems", lambda _: [])
    return made


def test_each_secret_that_stays_is_encrypted_anew(
    calls: list[tuple[list[str], str | None]], tmp_path: Path
) -> None:
    new_stack.make("new", "store", "new.example.com")
    assert {command[-1]: text for command, text in calls if "--secret" in command} == {
        "registry:proxySecrets.A_B": "b\n",
        'registry:proxySecrets["C D"]': "c\n",
        "registry:config.a[0]": "d\n",
        "docker:keyMaterial": "e\n",
    }
    assert all("v1:" not in word for command, _ in calls for word in command)
    text = (tmp_path / "Pulumi.new.yaml").read_text()
    assert text.startswith("# A comment.\n")
    assert "encryptionsalt" not in text


def test_no_deployment_finds_a_copy_that_has_the_names_of_the_other_stack(
    calls: list[tuple[list[str], str | None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "Pulumi.new.yaml"

    def run(command: list[str], **_: Any) -> str:
        if "init" in command:
            file.write_text("encryptionsalt: v1:y\n")
        # Killed here, the command leaves this.
        assert file.read_text() == "encryptionsalt: v1:y\n"
        calls.append((command, None))
        return ""

    monkeypatch.setattr(new_stack, "run", run)
    new_stack.make("new", "store", "new.example.com")
    assert len(calls) > 1
    assert file.read_text().endswith("encryptionsalt: v1:y\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "Pulumi.new.yaml",
        "Pulumi.store.yaml",
    ]


def test_nothing_is_left_of_one_that_could_not_be_made(
    calls: list[tuple[list[str], str | None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise UserError("no backend")

    monkeypatch.setattr(new_stack, "run", fail)
    with pytest.raises(UserError, match="no backend"):
        new_stack.make("new", "store", "new.example.com")
    assert calls == []
    assert not (tmp_path / "Pulumi.new.yaml").exists()
