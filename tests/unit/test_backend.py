"""Pulumi's file backend: whose lock is no obstacle, and what is done about a broken state."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops import backend
from ops.bootstrap.console import UserError, wait


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a backend's folder with a stack `local`."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    stacks = tmp_path / ".pulumi/stacks/registry"
    stacks.mkdir(parents=True)
    (stacks / "local.json").write_text('{"checkpoint": {}}')
    return tmp_path / ".pulumi"


@pytest.fixture
def pulumi(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that is called like Pulumi, and does nothing."""
    program = tmp_path / "pulumi"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "60"]) as process:
        name = Path(f"/proc/{process.pid}/comm")
        wait("the program to be there", lambda: name.read_text() == "pulumi\n", 20, every=0.01)
        yield process
        process.kill()


def lock(folder: Path, pid: int, host: str | None = None) -> Path:
    """Return a lock as Pulumi writes it."""
    file = folder / "locks/organization/registry/local/1.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    note = {"pid": pid, "username": "me", "hostname": host or socket.gethostname()}
    file.write_text(json.dumps(note))
    return file


def test_a_lock_whose_owner_is_gone_is_no_obstacle(
    folder: Path, pulumi: subprocess.Popen[bytes]
) -> None:
    pulumi.kill()
    # Not yet collected by its parent: it has ended all the same.
    os.waitid(os.P_PID, pulumi.pid, os.WEXITED | os.WNOWAIT)
    file = lock(folder, pulumi.pid)
    backend.wait_for_lock("local")
    assert not file.exists()


def test_a_process_that_is_no_pulumi_holds_no_lock(folder: Path) -> None:
    file = lock(folder, os.getpid())
    backend.wait_for_lock("local")
    assert not file.exists()


def test_a_lock_that_was_cut_short_is_no_obstacle(folder: Path) -> None:
    file = lock(folder, 1)
    file.write_text("")
    notes = file.with_name("1.json.attrs")
    notes.write_text("{}")
    backend.wait_for_lock("local")
    assert not file.exists()
    assert not notes.exists()


def test_the_files_beside_a_lock_are_none(folder: Path, pulumi: subprocess.Popen[bytes]) -> None:
    notes = lock(folder, pulumi.pid).with_name("1.json.attrs")
    notes.write_text("{}")
    assert backend.is_held("local")
    assert notes.exists()


def test_a_run_that_goes_on_is_waited_for(
    folder: Path, pulumi: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = lock(folder, pulumi.pid)
    monkeypatch.setattr(backend, "OWNER_SECONDS", 0)
    with pytest.raises(UserError, match="the other run to end"):
        backend.wait_for_lock("local")
    assert file.exists()


def test_a_lock_of_another_machine_is_left_alone(folder: Path) -> None:
    file = lock(folder, 1, "elsewhere")
    with pytest.raises(UserError, match=r"me on elsewhere .*\n.*pulumi cancel --yes --stack local"):
        backend.wait_for_lock("local")
    assert file.exists()


def test_other_backends_are_pulumis_own_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    backend.wait_for_lock("local")
    backend.require_room()
    backend.require_readable()
    assert not backend.restore("local")


def test_a_state_that_was_cut_short_is_put_back_from_the_newest_copy_that_is_whole(
    folder: Path,
) -> None:
    file = folder / "stacks/registry/local.json"
    assert not backend.restore("local"), "it is whole"
    copies = folder / "backups/registry/local"
    copies.mkdir(parents=True)
    for age, name in ((30, "local.1.json"), (20, "local.2.json")):
        (copies / name).write_text(json.dumps({"checkpoint": name}))
        os.utime(copies / name, (1000 - age, 1000 - age))
    file.with_name("local.json.bak").write_text('{"checkpoi')
    file.write_text('{"checkpoint": {')
    with pytest.raises(UserError, match="make recover STACK=local"):
        backend.require_readable()
    assert backend.restore("local")
    assert json.loads(file.read_text()) == {"checkpoint": "local.2.json"}
    backend.require_readable()
    kept = [path.read_text() for path in copies.glob("*.cut-short.*")]
    assert kept == ['{"checkpoint": {'], "nothing is thrown away"


def test_a_deployment_needs_room_for_its_state(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.require_room()
    full = SimpleNamespace(free=backend.ROOM_MIB * 2**20 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(UserError, match=f"49 MiB are free .*{folder.parent}"):
        backend.require_room()


def test_a_state_is_read_from_its_file_as_pulumi_exports_it(folder: Path) -> None:
    file = folder / "stacks/registry/local.json"
    latest = {"manifest": {}, "resources": [{"urn": "a"}]}
    file.write_text(json.dumps({"version": 3, "checkpoint": {"stack": "local", "latest": latest}}))
    assert backend.exported("local") == {"version": 3, "deployment": latest}
    assert backend.exported("another") is None


@pytest.mark.parametrize(
    "content",
    [
        '{"version": 4, "checkpoint": {"latest": {}}}',
        '{"version": 3, "checkpoint": {}}',
        '{"version": 3, "check',
    ],
)
def test_a_state_in_another_form_is_left_to_pulumi(folder: Path, content: str) -> None:
    (folder / "stacks/registry/local.json").write_text(content)
    assert backend.exported("local") is None
