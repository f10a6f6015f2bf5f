"""Engines over `ssh`: what it is asked, and what becomes of what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi
import pytest

from components.swarm import ssh
from components.swarm.engine import Engine, connected, find_engine

UNKNOWN = "No ED25519 host key is known for 10.0.0.4 and you have requested strict checking."
ANSWER = """\
HTTP/1.1 200 OK\r
Content-Type: application/json\r
Content-Length: 21\r
\r
{"ApiVersion":"1.41"}"""


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Have another `ssh` on PATH; returns the file with its arguments."""
    program, arguments = folder / "ssh", folder / "arguments"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{arguments}\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return arguments


def test_an_engine_is_asked_through_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A program of its own for that, such as cat, might outlive the shell for a moment.
    answer = ANSWER.replace("\r\n", r"\r\n")
    arguments = pretend(tmp_path, monkeypatch, f"printf '{answer}'; exec head -n 1 >/dev/null")
    with connected(Engine(host="ssh://Mgr")) as client:
        assert client.api_version == "1.41"
    args = arguments.read_text().splitlines()
    assert args[-4:] == ["-T", "--", "Mgr", "docker system dial-stdio"]
    assert "-oBatchMode=yes" in args, "it never asks"


@pytest.mark.parametrize(
    ("address", "args"),
    [
        ("ssh://me@dog:2222", ["-l", "me", "-p", "2222", "--", "dog"]),
        ("ssh://[fe80::1]", ["--", "fe80::1"]),
        ("ssh://Dog.Example", ["--", "Dog.Example"]),
    ],
)
def test_parts_of_an_address_are_ssh_arguments(address: str, args: list[str]) -> None:
    assert ssh.parse(address).login == args


def test_a_socket_elsewhere_is_named_to_docker_there() -> None:
    command = ssh.engine_command(ssh.parse("ssh://dog/run/user/my docker.sock"))
    assert command[-1] == "docker '--host=unix:///run/user/my docker.sock' system dial-stdio"


@pytest.mark.parametrize("address", ["ssh://", "ssh://me:secret@dog", "ssh://dog?x=1"])
def test_an_address_that_ssh_has_no_use_for_is_an_error(address: str) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        find_engine(address)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "errors", "reason", "remedy"),
    [
        (255, f"{UNKNOWN}\nHost key verification failed.", "not known here", "SSH_KNOWN_HOSTS"),
        (
            255,
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "another one",
            "ssh-keygen -R dog",
        ),
        (255, "me@dog: Permission denied (publickey).", "none of this machine's keys", "ssh-add"),
        (
            255,
            "/root/.ssh/config: line 3: Bad configuration option: prot\n/root/.ssh/config:"
            " terminating, 1 bad configuration options",
            "config: line 3: Bad configuration option: prot",
            "mend that file",
        ),
        (255, "ssh: connect to host dog port 22: Connection refused", "refused", "docker version"),
        (255, "ssh: connect to host dog port 22: Connection timed out", "timed out", "ssh -p 2222"),
        (127, "bash: line 1: docker: command not found", "no docker command", "command -v docker"),
        (
            1,
            "permission denied while trying to connect to the Docker daemon socket at unix:///x",
            "may not use Docker's socket",
            "usermod -aG docker",
        ),
        (1, "Cannot connect to the Docker daemon at unix:///x.", "no Docker engine", "systemctl"),
        (
            1,
            "failed to open the raw stream connection: dial unix /x: connect: no such file or"
            " directory",
            "no Docker engine",
            "systemctl",
        ),
        (
            1,
            "failed to open the raw stream connection: dial unix /x: connect: permission denied",
            "may not use Docker's socket",
            "usermod",
        ),
        (None, "", "no answer within", "-v docker version"),
        (1, "", "ended with 1", "docker version"),
    ],
)
def test_what_ssh_says_is_one_line_with_what_to_type(
    status: int | None, errors: str, reason: str, remedy: str
) -> None:
    line = ssh.explain(ssh.parse("ssh://me@dog:2222"), status, errors)
    assert reason in line
    assert remedy in line
    assert "\n" not in line


def test_a_failure_of_ssh_is_the_programs_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, f"echo '{UNKNOWN}' >&2; exit 255")
    expected = "No Docker engine answers at ssh://me@dog: its host key is not known here"
    with pytest.raises(pulumi.RunError, match=expected), connected(Engine(host="ssh://me@dog")):
        pass
    assert "not known here" in str(ssh.failure("ssh://me@dog"))


def test_an_ssh_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, "exec sleep 600")
    monkeypatch.setattr(ssh, "ANSWER_SECONDS", 1)
    monkeypatch.setattr(ssh, "_EXIT_SECONDS", 1)
    with (
        pytest.raises(pulumi.RunError, match="no answer within"),
        connected(Engine(host="ssh://dog")),
    ):
        pass


def test_without_ssh_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "openssh-client" in str(ssh.failure("ssh://dog"))
