"""What the Makefile calls: the choices it makes for whoever types `make up`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.distribution.config import HUB as HUB_URL
from components.swarm.endpoint import DEFAULT_HOST
from ops import nodes, stack
from ops.bootstrap import ROOT, engine, environment, packages, state, toolchain, virtualenv
from ops.bootstrap.console import UserError, one_at_a_time, wait
from ops.config import Config
from ops.stack import Stack


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home, and an environment that names no backend and no Pulumi."""
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


def test_a_passphrase_that_was_being_written_is_made_anew(home: Path) -> None:
    (home / "state").mkdir()
    (home / "state/passphrase").touch()
    state.ensure()
    assert len((home / "state/passphrase").read_text()) > 30
    assert [path.name for path in (home / "state").iterdir()] == ["passphrase"]


def test_without_its_passphrase_a_state_is_lost_and_that_is_said(home: Path) -> None:
    known = home / "state/.pulumi/stacks/registry/local.json"
    known.parent.mkdir(parents=True)
    known.write_text("{}")
    with pytest.raises(
        UserError, match=r"passphrase of the state is lost(.|\n)*make recover STACK="
    ):
        state.ensure()
    assert not (home / "state/passphrase").exists()
    state.set_aside_without_passphrase()
    state.ensure()
    (aside,) = home.glob("state-without-passphrase-*")
    assert (aside / ".pulumi/stacks/registry/local.json").exists(), "nothing is thrown away"
    state.set_aside_without_passphrase()
    assert (home / "state/passphrase").exists(), "with a passphrase nothing is put aside"


def test_the_key_of_a_lost_passphrase_goes_unless_secrets_need_it(home: Path) -> None:
    file = home / "Pulumi.local.yaml"
    file.write_text("encryptionsalt: v1:abc\nconfig:\n  registry:domain: localhost\n")
    state.forget_key(file)
    assert file.read_text() == "config:\n  registry:domain: localhost\n"
    text = "encryptionsalt: v1:abc\nconfig:\n  registry:certificateKey:\n    secure: v1:abc\n"
    file.write_text(text)
    with pytest.raises(UserError, match=r"lines 4\)"):
        state.forget_key(file)
    assert file.read_text() == text


def test_an_installation_that_was_interrupted_is_made_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / ".venv"
    monkeypatch.setattr(virtualenv, "FOLDER", folder)
    monkeypatch.setattr(virtualenv, "_PIP", (folder / "bin/python",))
    monkeypatch.setattr(virtualenv, "ROOT", home)
    (home / "requirements.txt").write_text("pulumi==1")
    created: list[None] = []

    def create() -> None:
        created.append(None)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "bin").mkdir(parents=True)
        command(folder / "bin/python", "true")

    monkeypatch.setattr(virtualenv, "_create", create)
    virtualenv.ensure()
    virtualenv.ensure()
    assert len(created) == 1
    (home / "requirements.txt").write_text("pulumi==2")
    command(folder / "bin/python", '[ "$1" = --version ]')
    with pytest.raises(UserError):
        virtualenv.ensure()
    assert len(created) == 1, "an upgrade goes into what is there"
    virtualenv.ensure()
    assert len(created) == 2, "and if it doesn't end, all is made anew"


def test_a_virtual_environment_is_installed_by_one_command_at_a_time(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / ".venv"
    folder.mkdir()
    monkeypatch.setattr(virtualenv, "FOLDER", folder)
    monkeypatch.setattr(virtualenv, "ROOT", home)
    requirements = b"pulumi==1"
    (home / "requirements.txt").write_bytes(requirements)
    monkeypatch.setattr(virtualenv, "_install", lambda _: pytest.fail("it is there by now"))
    with ThreadPoolExecutor(1) as pool:
        with one_at_a_time(folder):
            waiting = pool.submit(virtualenv.ensure)
            time.sleep(0.2)
            assert not waiting.done()
            # The other command has done it.
            (folder / ".requirements.txt").write_text(hashlib.sha256(requirements).hexdigest())
        waiting.result(30)


def test_two_commands_in_one_checkout_come_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import pathlib, time; from ops.bootstrap.console import one_at_a_time\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with one_at_a_time(folder):\n    (folder / 'in').touch()\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as first:
        wait("the first to begin", (tmp_path / "in").exists, 20)
        threading.Timer(1, first.kill).start()
        with one_at_a_time(tmp_path):
            assert first.wait(20), "it held its place until it ended"
    assert "another command is at work" in capsys.readouterr().err
    with one_at_a_time(tmp_path):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_lets_pulumi_end_in_order(tmp_path: Path, number: int) -> None:
    # From a terminal Ctrl-C reaches Pulumi too; SIGTERM reaches nobody else, and is passed on.
    command(
        tmp_path / "bin/pulumi",
        f"trap 'sleep 1; echo saved >{tmp_path}/state; exit 1' INT\ntouch {tmp_path}/up\n"
        "while :; do sleep 0.1; done",
    )
    code = (
        "from ops.bootstrap.console import main; from ops.pulumi import pulumi; "
        "main(lambda: pulumi('up'))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        wait("pulumi to run", (tmp_path / "up").exists, 20)
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        assert process.wait(20) == 130
    assert (tmp_path / "state").read_text() == "saved\n"


@pytest.mark.parametrize(
    ("swarm", "says"),
    [
        ({"LocalNodeState": "locked"}, "docker swarm unlock"),
        ({"LocalNodeState": "error", "Error": "no certificate"}, "error: no certificate"),
        ({"LocalNodeState": "active", "ControlAvailable": False}, "is a worker"),
    ],
)
def test_a_swarm_that_is_there_is_never_made_anew(
    monkeypatch: pytest.MonkeyPatch, swarm: dict[str, object], says: str
) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(engine, "_swarm", lambda _: swarm)
    monkeypatch.setattr(engine, "chosen_host", lambda: DEFAULT_HOST)
    monkeypatch.setattr(engine, "docker", lambda *args, **_: calls.append(args))
    with pytest.raises(UserError, match=says):
        engine.ensure()
    assert not calls


def test_a_policy_that_an_interrupted_installation_left_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    policy.write_text(packages.NO_AUTOSTART)
    with packages.no_autostart():
        assert policy.exists()
    assert not policy.exists()
    policy.write_text("#!/bin/sh\nexit 0\n")
    with packages.no_autostart():
        pass
    assert policy.exists(), "somebody else's stays"


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


def command(path: Path, script: str) -> None:
    """Return a shell script that can be called."""
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


def test_the_exported_environment_survives_a_shell(tmp_path: Path) -> None:
    changes = {"PATH": "/a b:/c", "ODD": "it's $HOME `x`"}
    script = environment.exports(changes) + 'printf "%s\\n" "$PATH" "$ODD"'
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
    monkeypatch.setattr(environment, "ensure_local_settings", lambda: None)
    assert "export PULUMI_RUN_PROGRAM=true\n" in environment.exports(environment.process_env())


def test_logs_come_from_the_engine_that_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str | None, str | None]] = []

    def run(*_: object, **__: object) -> str:
        asked.append((os.environ.get("DOCKER_HOST"), os.environ.get("DOCKER_CONTEXT")))
        return ""

    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    values = {"registry:stackName": "x", "docker:host": "ssh://me@dog"}
    monkeypatch.setattr(Config, "read", lambda name: Config(stack=name, values=values))
    monkeypatch.setattr(stack, "run", run)
    with pytest.raises(UserError, match="has no services here"):
        Stack("prod").logs(follow=False)
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
