"""Which Pulumi and which backend a command takes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ops.bootstrap import ROOT, environment, state, toolchain
from ops.bootstrap.console import UserError

from .shared_ops import command


def test_a_passphrase_of_the_users_own_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    assert state.ensure() == {"PULUMI_BACKEND_URL": f"file://{home}/state"}


def test_a_backend_that_the_user_chose_is_used(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "credentials.json").write_text(json.dumps({"current": "https://state.example.com"}))
    assert state.ensure() == {}
    assert "state: https://state.example.com" in capsys.readouterr().err
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    assert state.ensure() == {}
    assert "state: s3://bucket" in capsys.readouterr().err
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{home}/state")
    assert state.ensure() == {}
    assert capsys.readouterr().err == "", "the project's own, as after `make exports`"
    assert not (home / "state").exists()


@pytest.fixture
def nothing_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide Pulumi and its installer; offer a toolchain that compiles at once."""
    monkeypatch.setenv("PATH", f"{home}/bin:/usr/bin:/bin")
    monkeypatch.setattr(toolchain, "CHECKSUMS", "http://127.0.0.1:9")
    monkeypatch.setattr(toolchain, "ROOT", home)
    monkeypatch.setattr(toolchain, "locked_version", lambda: "3.259.0")
    (home / "toolchain").mkdir()
    command(home / "toolchain/build.sh", '[ "$1" != --cached ] && echo /cache/compiled')
    return home


@pytest.mark.parametrize(("version", "taken"), [("v3.300.0", True), ("v3.100.0", False)])
def test_a_pulumi_on_path_is_taken_if_it_is_new_enough(
    nothing_found: Path, version: str, taken: bool
) -> None:
    for name in ("pulumi", "pulumi-language-python"):
        command(nothing_found / "bin" / name, f"echo {version}")
    assert (toolchain.ensure() == {}) is taken


def test_releases_out_of_reach_are_said_in_one_line_and_pulumi_compiled(
    nothing_found: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = toolchain.ensure()
    assert changes["PATH"].startswith("/cache/compiled/bin:")
    assert changes["PULUMI_HOME"] == "/cache/compiled/home"
    assert changes["PULUMI_CREDENTIALS_PATH"] == str(nothing_found)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Pulumi's releases can't be reached")


def test_what_was_compiled_is_used_without_a_word(
    nothing_found: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(nothing_found / "toolchain/build.sh", "echo /cache/compiled")
    assert toolchain.ensure()["PULUMI_HOME"] == "/cache/compiled/home"
    assert capsys.readouterr().err == ""


def test_a_toolchain_that_does_not_compile_is_a_problem(nothing_found: Path) -> None:
    command(nothing_found / "toolchain/build.sh", "exit 1")
    with pytest.raises(UserError, match="could not be compiled"):
        toolchain.ensure()


def test_the_sdk_and_the_compiled_command_line_are_one_version() -> None:
    version = toolchain.locked_version()
    module = (ROOT / "toolchain/cli/go.mod").read_text()
    assert f"pulumi/pkg/v3 v{version}\n" in module
    for plugin in ("docker", "random"):
        main = (ROOT / f"toolchain/plugins/{plugin}/main.go").read_text()
        version = main.partition('const version = "')[2].partition('"')[0]
        assert version == toolchain.locked_version(f"pulumi-{plugin}")


def test_what_commands_write_into_the_checkout_is_no_change_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*args: str) -> str:
        command = ["git", "-c", "user.name=me", "-c", "user.email=me@example.com", *args]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    for name in (".gitignore", "Pulumi.yaml", "Pulumi.local.example.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "as it is published")
    file = tmp_path / "Pulumi.local.yaml"
    monkeypatch.setattr(environment, "LOCAL_FILE", file)
    environment.ensure_local_settings()
    assert "registry:stackName: registry-local" in file.read_text()
    # As Pulumi does, and `make recover`.
    file.write_text(file.read_text() + "encryptionsalt: v1:abc\n")
    for folder in (".state", ".state-without-passphrase-1", ".venv"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").touch()
    assert git("status", "--porcelain") == ""
    environment.ensure_local_settings()
    assert "encryptionsalt" in file.read_text(), "what is there stays"
