"""The Docker engine of this machine: installed and started where there is none yet."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from components.swarm.endpoint import DEFAULT_HOST
from ops.bootstrap.console import UserError, last_words, run, say, wait
from ops.bootstrap.packages import apt, find, no_autostart, program, search_path

LOG = Path("/var/log/dockerd.log")
PID_FILE = Path("/var/run/docker.pid")
CONTAINERD_PID_FILE = Path("/var/run/docker/containerd/containerd.pid")
SYSTEMD = Path("/run/systemd/system")

# What an engine is made of, and the package it comes from. In this order: up to Debian 12
# `docker.io` has the client too, and there is no `docker-cli` to ask for.
PARTS = (("dockerd", "docker.io"), ("docker", "docker-cli"), ("iptables", "iptables"))

# Where no name server answers, the resolver's own limits (5 s, twice) make Swarm wait 20 s for
# a pull before it starts a task whose image is already there.
FAST_DNS = {"RES_OPTIONS": "timeout:1 attempts:2"}


def start(host: str, answers: Callable[[], bool]) -> None:
    """Install and start the engine of this machine, and wait until it `answers` at `host`."""
    if host not in (DEFAULT_HOST, "unix:///run/docker.sock"):
        raise UserError(f"no Docker engine answers at {host}; start it or unset DOCKER_HOST")
    if platform.system() != "Linux":
        raise UserError("no Docker engine answers; start Docker Desktop and try again")
    if os.geteuid() != 0:
        raise UserError(
            "no Docker engine answers; start it (`sudo systemctl start docker`) or install it "
            "(Debian, Ubuntu: `sudo apt-get install docker.io`), or run this as root"
        )
    install()
    if SYSTEMD.is_dir():
        say("starting the Docker engine (systemctl enable --now docker)")
        run(["systemctl", "enable", "--now", "docker"], timeout=120)
        wait("the Docker engine to answer", answers, 60)
    else:
        with LOG.open("ab") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # Two at once would spoil each other's start.
            if _is_running():
                wait("the Docker engine to answer", answers, 60)
            else:
                _start_in_background(answers)


def _is_running() -> bool:
    """Return whether a dockerd lives; remove the pid files that a crash leaves.

    dockerd believes them as long as their process exists, be it one that ended uncollected.
    """
    if _lives(PID_FILE, "dockerd"):
        return True
    PID_FILE.unlink(missing_ok=True)
    # dockerd's own containerd ends a moment after it.
    with contextlib.suppress(UserError):
        wait("the last containerd to end", lambda: not _lives(CONTAINERD_PID_FILE, "containerd"), 5)
        CONTAINERD_PID_FILE.unlink(missing_ok=True)
    return False


def _lives(pid_file: Path, name: str) -> bool:
    """Return whether the process lives; an ended one that wasn't collected has no command line."""
    try:
        pid = pid_file.read_text().strip()
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _start_in_background(answers: Callable[[], bool]) -> None:
    """Start dockerd without systemd: a session of its own, output in LOG, pid in docker.pid."""
    say(f"starting the Docker engine in the background (log: {LOG})")
    with LOG.open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            [program("dockerd")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, **FAST_DNS, "PATH": search_path()},
        )
    # Whatever the outcome, there is nothing more to say: an exited dockerd never answers.
    wait(
        "the Docker engine to answer",
        lambda: process.poll() is not None or answers(),
        60,
    )
    if process.poll() is not None:
        output = LOG.read_bytes()[begin:].decode(errors="replace")
        raise UserError(f"the Docker engine did not start: {last_words(output, 1)} (all: {LOG})")


def install() -> None:
    """Have dockerd, docker and iptables on this machine; started is nothing.

    Raises a UserError that says what to install where this can't: no root, no apt.
    """
    missing = [package for name, package in PARTS if not find(name)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise UserError(
            f"the Docker engine is not complete here (missing: {', '.join(missing)}); "
            "install it (docs.docker.com/engine/install), or run this as root on Debian or Ubuntu"
        )
    apt("update")
    with no_autostart():
        for name, package in PARTS:
            if not find(name):
                apt("install", "--yes", "--no-install-recommends", package)
                program(name)
