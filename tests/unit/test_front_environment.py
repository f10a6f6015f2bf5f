"""What commands hand on: the environment, logs, mirrors."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from components.distribution.config import HUB as HUB_URL
from ops import logs, nodes
from ops.bootstrap import environment, state, toolchain, virtualenv
from ops.bootstrap.console import UserError
from ops.config import Config
from ops.stack import Stack


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
    monkeypatch.setattr(logs, "run", run)
    with pytest.raises(UserError, match="has no services here"):
        logs.show(Stack("prod"), follow=False)
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


def test_where_mirrors_take_tokens_the_first_containerd_that_can_is_named() -> None:
    guarded, named = {"hub": HUB | {"login": True}}, "containerd 2.1 or later"
    assert named in nodes.lines(guarded, tokens=True)
    assert named not in nodes.lines(guarded)
    assert named not in nodes.lines({"hub": HUB}, tokens=True), "it asks for none"


def test_where_a_mirror_asks_for_a_login_docker_pulls_by_its_name() -> None:
    text = nodes.lines({"hub": HUB | {"login": True}})
    assert "registry-mirrors" not in text
    assert "Authorization" in text
    assert "docker login mirror.example.com && docker pull mirror.example.com/library/" in text
