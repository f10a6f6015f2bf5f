"""Commands on the machine itself: state, virtual environment, interruptions."""

from __future__ import annotations

import hashlib
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

from components.swarm.endpoint import DEFAULT_HOST
from ops.bootstrap import ROOT, engine, packages, state, virtualenv
from ops.bootstrap.console import UserError, one_at_a_time, wait

from .shared_ops import command


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
