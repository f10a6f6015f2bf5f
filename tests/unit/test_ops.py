"""What the Makefile calls: the choices it makes for whoever types `make up`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from components.registry_config import HUB as HUB_URL
from ops import nodes, stack, state, toolchain, virtualenv
from ops.console import Problem


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and an environment that names no backend and no Pulumi."""
    for name in ("BACKEND_URL", "CONFIG_PASSPHRASE", "CONFIG_PASSPHRASE_FILE", "HOME"):
        monkeypatch.delenv(f"PULUMI_{name}", raising=False)
    monkeypatch.setenv("PULUMI_CREDENTIALS_PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(state, "FOLDER", tmp_path / "state")
    monkeypatch.setattr(state, "PASSPHRASE", tmp_path / "state/passphrase")
    return tmp_path


def test_without_a_login_the_state_is_the_projects_own(home: Path) -> None:
    changes = state.ensure()
    passphrase = Path(changes["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert changes["PULUMI_BACKEND_URL"] == f"file://{home}/state"
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert len(passphrase.read_text()) > 30
    assert state.ensure() == changes


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
    assert not (home / "state").exists()


@pytest.fixture
def nothing_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No Pulumi anywhere, its installer out of reach, and a toolchain that compiles at once."""
    monkeypatch.setenv("PATH", f"{home}/bin:/usr/bin:/bin")
    monkeypatch.setattr(toolchain, "INSTALLER", "http://127.0.0.1:9")
    monkeypatch.setattr(toolchain, "ROOT", home)
    monkeypatch.setattr(toolchain, "pinned_version", lambda: "3.259.0")
    (home / "toolchain").mkdir()
    command(home / "toolchain/build.sh", '[ "$1" != --cached ] && echo /cache/compiled')
    return home


def command(path: Path, script: str) -> None:
    """A shell script that can be called."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(("version", "taken"), [("v3.300.0", True), ("v3.100.0", False)])
def test_a_pulumi_on_path_is_taken_if_it_is_new_enough(
    nothing_found: Path, version: str, taken: bool
) -> None:
    for name in ("pulumi", "pulumi-language-python"):
        command(nothing_found / "bin" / name, f"echo {version}")
    assert (toolchain.ensure() == {}) is taken


def test_an_installer_out_of_reach_is_said_in_one_line_and_pulumi_compiled(
    nothing_found: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = toolchain.ensure()
    assert changes["PATH"].startswith("/cache/compiled/bin:")
    assert changes["PULUMI_HOME"] == "/cache/compiled/home"
    assert changes["PULUMI_CREDENTIALS_PATH"] == str(nothing_found)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Pulumi's installer can't be reached")


def test_what_was_compiled_is_used_without_a_word(
    nothing_found: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(nothing_found / "toolchain/build.sh", "echo /cache/compiled")
    assert toolchain.ensure()["PULUMI_HOME"] == "/cache/compiled/home"
    assert capsys.readouterr().err == ""


def test_a_toolchain_that_does_not_compile_is_a_problem(nothing_found: Path) -> None:
    command(nothing_found / "toolchain/build.sh", "exit 1")
    with pytest.raises(Problem, match="could not be compiled"):
        toolchain.ensure()


def test_the_sdk_and_the_compiled_command_line_are_one_version() -> None:
    pinned = toolchain.pinned_version()
    module = (toolchain.ROOT / "toolchain/cli/go.mod").read_text()
    assert f"pulumi/pkg/v3 v{pinned}\n" in module
    requirements = (toolchain.ROOT / "requirements.txt").read_text()
    for plugin in ("docker", "random"):
        main = (toolchain.ROOT / f"toolchain/plugins/{plugin}/main.go").read_text()
        version = main.partition('const version = "')[2].partition('"')[0]
        assert f"pulumi-{plugin}=={version}\n" in requirements


def test_the_exported_environment_survives_a_shell(tmp_path: Path) -> None:
    changes = {"PATH": "/a b:/c", "ODD": "it's $HOME `x`"}
    script = stack.exports(changes) + 'printf "%s\\n" "$PATH" "$ODD"'
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=30,
    )
    assert done.stdout.splitlines() == list(changes.values())


def test_refresh_and_destroy_run_the_program_in_that_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PULUMI_RUN_PROGRAM", raising=False)
    for part in (virtualenv, toolchain, state):
        monkeypatch.setattr(part, "ensure", dict)
    assert "export PULUMI_RUN_PROGRAM=true\n" in stack.exports(stack.environment())


def test_logs_come_from_the_engine_that_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str | None, str | None]] = []

    def run(*_: object, **__: object) -> str:
        asked.append((os.environ.get("DOCKER_HOST"), os.environ.get("DOCKER_CONTEXT")))
        return ""

    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    settings = {"registry:stackName": "x", "docker:host": "ssh://me@dog"}
    monkeypatch.setattr(state, "config", lambda *_: settings)
    monkeypatch.setattr(stack, "run", run)
    with pytest.raises(Problem, match="has no services here"):
        stack.logs("prod", follow=False)
    assert asked == [("ssh://me@dog", None)]


HUB = {"url": "https://mirror.example.com", "upstream": HUB_URL, "login": False}


def test_docker_is_told_of_mirrors_of_docker_hub_that_ask_for_no_login() -> None:
    quay = {"url": "https://quay.example.com", "upstream": "https://quay.io", "login": False}
    text = nodes.lines({"hub": HUB, "quay": quay})
    assert '"registry-mirrors": [\n    "https://mirror.example.com"\n  ]' in text
    assert "/etc/containerd/certs.d/docker.io/hosts.toml" in text
    assert "/etc/containerd/certs.d/quay.io/hosts.toml" in text
    assert "docker pull quay.example.com/IMAGE" in text
    assert "docker pull mirror.example.com" not in text


def test_where_a_mirror_asks_for_a_login_docker_pulls_by_its_name() -> None:
    text = nodes.lines({"hub": HUB | {"login": True}})
    assert "registry-mirrors" not in text
    assert "Authorization" in text
    assert "docker login mirror.example.com && docker pull mirror.example.com/library/" in text
