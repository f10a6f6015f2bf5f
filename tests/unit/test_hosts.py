"""Machines and engines that this project doesn't run on: one sentence, and nothing is changed."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import pytest

from components.swarm import inspect as inspection
from components.swarm.endpoint import EndpointError
from components.swarm.engine import Engine
from ops.bootstrap import ROOT, engine, toolchain
from ops.bootstrap.console import UserError

FRONT_DOOR = ROOT / "ops/__init__.py"
OLD_PYTHONS = [name for name in ("python3.9", "python3.8", "python3.7") if shutil.which(name)]
Version = namedtuple("Version", "major minor")


def front_door(monkeypatch: pytest.MonkeyPatch, platform: str, version: tuple[int, int]) -> str:
    """Return what the front door prints on such a machine; "" where it lets everybody in."""
    source = compile(FRONT_DOOR.read_text(), str(FRONT_DOOR), "exec")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        patch.setattr(sys, "version_info", Version(*version))
        try:
            exec(source, {})  # noqa: S102 - the project's own
        except SystemExit as end:
            return str(end)
    return ""


def test_an_old_python_can_read_the_front_door() -> None:
    ast.parse(FRONT_DOOR.read_text(), feature_version=(3, 6))
    assert "__future__" not in FRONT_DOOR.read_text(), "3.6 doesn't know annotations"


@pytest.mark.parametrize(
    ("platform", "version", "says"),
    [
        ("linux", (3, 10), ""),
        ("darwin", (3, 14), ""),
        ("darwin", (3, 9), "error: Python 3.10 or later is needed, and python3 is 3.9"),
        ("win32", (3, 12), "error: Windows isn't supported"),
    ],
)
def test_the_front_door_says_who_may_come_in(
    monkeypatch: pytest.MonkeyPatch, platform: str, version: tuple[int, int], says: str
) -> None:
    output = front_door(monkeypatch, platform, version)
    assert output.startswith(says)
    assert bool(output) == bool(says)
    assert "\n" not in output


@pytest.mark.parametrize("name", OLD_PYTHONS)
def test_an_old_python_gets_a_sentence(name: str) -> None:
    done = subprocess.run(
        [name, "-m", "ops", "up"],
        cwd=ROOT,
        # Where pyenv has several, this is which.
        env={**os.environ, "PYENV_VERSION": name.removeprefix("python")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode == 127:
        pytest.skip("it is a name without an interpreter")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: Python 3.10 or later is needed")


def test_a_rootless_engine_is_made_no_swarm(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []

    def docker(*args: object, **_: object) -> str:
        calls.append(args)
        return json.dumps(["name=seccomp,profile=builtin", "name=rootless"])

    monkeypatch.setattr(engine, "_swarm", lambda _: {"LocalNodeState": "inactive"})
    monkeypatch.setattr(engine, "chosen_host", lambda: "unix:///run/user/1000/docker.sock")
    monkeypatch.setattr(engine, "docker", docker)
    with pytest.raises(UserError, match="runs rootless"):
        engine.ensure()
    assert all("init" not in args for args in calls)


class Manager:
    """An engine that is a swarm's manager, with such options of security."""

    def __init__(self, *options: str) -> None:
        self._options = list(options)

    def info(self) -> dict[str, Any]:
        about = {"LocalNodeState": "active", "ControlAvailable": True, "NodeID": "dog"}
        return {"Swarm": about | {"Cluster": {"ID": "x"}}, "SecurityOptions": self._options}

    def nodes(self) -> list[dict[str, Any]]:
        return []

    networks = services = nodes


def inspect(monkeypatch: pytest.MonkeyPatch, *options: str) -> inspection.Swarm:
    @contextlib.contextmanager
    def connected(_: Engine) -> Iterator[Manager]:
        yield Manager(*options)

    monkeypatch.setattr(inspection, "connected", connected)
    return inspection.inspect_swarm(Engine(host="unix:///docker.sock"))


def test_nothing_is_deployed_to_a_rootless_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EndpointError, match="runs rootless"):
        inspect(monkeypatch, "name=cgroupns", "name=rootless")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["name=seccomp,profile=builtin", "name=cgroupns"], []),
        (["name=userns"], ["userns-remap"]),
        (["name=selinux", "name=userns"], ["userns-remap", "SELinux"]),
    ],
)
def test_an_engine_whose_socket_is_closed_to_containers_is_known(
    monkeypatch: pytest.MonkeyPatch, options: list[str], expected: list[str]
) -> None:
    reasons = inspect(monkeypatch, *options).closed_sockets
    assert len(reasons) == len(expected)
    assert all(word in reason for word, reason in zip(expected, reasons, strict=True))


def test_where_nothing_can_be_compiled_pulumi_is_to_be_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(toolchain, "_usable_on_path", lambda: False)
    monkeypatch.setattr(toolchain, "_install", lambda _: False)
    monkeypatch.setattr(toolchain, "BUILD_TOOLS", ("bash", "no-such-flock"))
    with pytest.raises(UserError, match=r"no no-such-flock; install it: https://www\.pulumi\.com"):
        toolchain.ensure()
