"""The secrets of a stack in a backup, and how another checkout gets them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ops import checkpoint, encryption, stack_secrets
from ops.backup_settings import (
    HIDDEN,
    encrypted_secrets,
    restore_secrets,
    without_secrets,
)
from ops.bootstrap.console import UserError
from ops.config import Config
from ops.encryption import decrypt

PASSPHRASE = "six words of a test are enough"
CONFIG = {
    "registry:domain": "images.example.com",
    "registry:passwordRotation": "2026-11",
    "registry:passwords": {"jane.doe": {"secure": "v1:a"}},
    "registry:proxySecrets": {"TOKEN": {"secure": "v1:b"}},
    "certificateKey": {"secure": "v1:c"},
}
PLAIN = {
    "registry:passwords": json.dumps({"jane.doe": "of-jane"}),
    "registry:proxySecrets": json.dumps({"TOKEN": "of-dns"}),
    "registry:certificateKey": "-----BEGIN KEY-----\n",
}
OF_SETTINGS = {
    'registry:passwords["jane.doe"]': "of-jane",
    "registry:proxySecrets.TOKEN": "of-dns",
    "registry:certificateKey": "-----BEGIN KEY-----\n",
}
LOGIN, DASHBOARD, BEFORE = ("A" * 43 + "=", "B" * 43 + "=", "C" * 43 + "=")
SEEDS = {
    "registry:passwordSeeds.login": LOGIN,
    "registry:passwordSeeds.dashboard": DASHBOARD,
    "registry:passwordSeeds.rotation": "2026-11",
}


def seed(name: str, text: str, **more: Any) -> dict[str, Any]:
    """Return a seed as Pulumi exports its resource."""
    secret = {"4dabf18193072939515e22adb298388d": "…", "plaintext": json.dumps(text)}
    return {
        "urn": f"urn:pulumi:prod::registry::a$random:index/randomBytes:RandomBytes::{name}",
        "type": "random:index/randomBytes:RandomBytes",
        "inputs": {"keepers": {"rotation": "2026-11"}, "length": 32},
        "outputs": {"base64": secret},
        **more,
    }


STATE = [
    {"urn": "urn:pulumi:prod::registry::pulumi:pulumi:Stack::login-seed", "type": "pulumi:Stack"},
    seed("login-seed", BEFORE, delete=True),
    seed("login-seed", LOGIN),
    seed("dashboard-seed", DASHBOARD),
    seed("token-seed", "of tokens"),
    seed("registry-http-secret", "of uploads"),
]


@pytest.fixture
def passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a file with a passphrase, whose key takes no time."""
    monkeypatch.setattr(encryption, "COST", {**encryption.COST, "n": 2**10})
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\n")
    return str(file)


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str | None]]:
    """Return the commands that would be run, with their stdin."""
    run: list[tuple[list[str], str | None]] = []

    def answer(command: list[str], *, stdin: str | None = None) -> str:
        run.append((command, stdin))
        return json.dumps({"deployment": {"resources": STATE}})

    plain = Config(stack="prod", values=PLAIN)
    monkeypatch.setattr(Config, "read", lambda *_, **__: plain)
    for module in (checkpoint, stack_secrets):
        monkeypatch.setattr(module, "run", answer)
    return run


def stack(folder: Path, config: Mapping[str, Any] = CONFIG, outputs: object = None) -> Any:
    """Return a stack with that in its file."""
    file = folder / "Pulumi.prod.yaml"
    file.write_text(yaml.safe_dump({"encryptionsalt": "v1:salt", "config": dict(config)}))
    return SimpleNamespace(name="prod", file=file, last_outputs=outputs, ensure=lambda: None)


def backed_up(folder: Path, passphrase: str) -> str:
    """Return the name of a backup's file of secrets."""
    file = folder / "secrets.json"
    file.write_text(encrypted_secrets(stack(folder), passphrase))
    return str(file)


def as_restored(folder: Path) -> Mapping[str, Any]:
    """Return what the file of a stack configures, as a backup has it."""
    config: Mapping[str, Any] = yaml.safe_load(without_secrets(stack(folder)))["config"]
    return config


def test_all_encrypted_values_are_in_it_and_the_seeds_of_generated_passwords(
    tmp_path: Path, passphrase: str
) -> None:
    text = encrypted_secrets(stack(tmp_path), passphrase)
    document = json.loads(decrypt(text, PASSPHRASE))
    assert document["stack"] == "prod"
    assert document["secrets"] == {**OF_SETTINGS, **SEEDS}
    for secret in (*OF_SETTINGS.values(), LOGIN, DASHBOARD):
        assert secret.strip() not in text


def test_the_file_beside_it_names_secrets_alone(tmp_path: Path) -> None:
    text = without_secrets(stack(tmp_path))
    assert "v1:" not in text
    config = yaml.safe_load(text)["config"]
    assert config["registry:passwords"] == {"jane.doe": {"secure": HIDDEN}}
    assert config["registry:domain"] == "images.example.com"


def test_they_are_set_through_stdin_where_a_backup_named_them(
    tmp_path: Path, passphrase: str, commands: list[tuple[list[str], str | None]]
) -> None:
    file = backed_up(tmp_path, passphrase)
    commands.clear()
    restore_secrets(stack(tmp_path, as_restored(tmp_path)), file, passphrase)
    # A key without a namespace is this project's, to Pulumi as well.
    assert {command[-1]: text for command, text in commands} == {
        path: f"{text}\n" for path, text in {**OF_SETTINGS, **SEEDS}.items()
    }
    assert all("--secret" in command for command, _ in commands)
    args = " ".join(word for command, _ in commands for word in command)
    assert not [text for text in (*OF_SETTINGS.values(), LOGIN) if text.strip() in args]


def test_what_has_a_value_stays_and_what_is_gone_stays_out(
    tmp_path: Path,
    passphrase: str,
    commands: list[tuple[list[str], str | None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = backed_up(tmp_path, passphrase)
    config = {
        "registry:passwords": {"jane.doe": {"secure": "v1:newer"}, "ci": {"secure": HIDDEN}},
        "registry:passwordSeeds": {"login": {"secure": "v1:newer"}},
    }
    commands.clear()
    restore_secrets(stack(tmp_path, config), file, passphrase)
    assert {command[-1] for command, _ in commands} == {*SEEDS} - {"registry:passwordSeeds.login"}
    output = capsys.readouterr().err
    assert 'registry:passwords["jane.doe"]: stays as it is' in output
    assert "registry:proxySecrets.TOKEN: not in the settings" in output
    assert "pulumi config set --stack prod --path --secret registry:passwords.ci" in output
    assert "of-jane" not in output


def test_another_passphrase_changes_nothing(
    tmp_path: Path, passphrase: str, commands: list[tuple[list[str], str | None]]
) -> None:
    file = backed_up(tmp_path, passphrase)
    Path(passphrase).write_text("another passphrase")
    commands.clear()
    with pytest.raises(UserError, match=r"SECRETS=.*secrets\.json: the passphrase is another one"):
        restore_secrets(stack(tmp_path), file, passphrase)
    assert commands == []


def test_the_secrets_of_a_deployed_stack_are_changed_after_a_yes(
    tmp_path: Path,
    passphrase: str,
    monkeypatch: pytest.MonkeyPatch,
    commands: list[tuple[list[str], str | None]],
) -> None:
    file = backed_up(tmp_path, passphrase)
    deployed = stack(tmp_path, as_restored(tmp_path), outputs=object())
    commands.clear()
    monkeypatch.delenv("YES", raising=False)
    with pytest.raises(UserError, match="YES=1"):
        restore_secrets(deployed, file, passphrase)
    assert commands == []
    monkeypatch.setenv("YES", "1")
    restore_secrets(deployed, file, passphrase)
    assert commands


def test_what_is_missing_is_named(tmp_path: Path, passphrase: str) -> None:
    with pytest.raises(UserError, match=r"SECRETS=.*none can't be read"):
        restore_secrets(stack(tmp_path), str(tmp_path / "none"), passphrase)
    file, prod = backed_up(tmp_path, passphrase), stack(tmp_path)
    prod.file.unlink()
    with pytest.raises(UserError, match=r"put Pulumi\.prod\.yaml back first: stack\.yaml"):
        restore_secrets(prod, file, passphrase)
