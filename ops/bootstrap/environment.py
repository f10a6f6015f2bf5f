"""What this machine needs so that `pulumi` works on this project, and `make up` has an engine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from ops.bootstrap import ROOT, engine, images, state, toolchain, virtualenv
from ops.bootstrap.console import write_whole

LOCAL = "local"
"""The stack of whoever develops, on this machine's own engine."""
LOCAL_FILE = ROOT / f"Pulumi.{LOCAL}.yaml"
LOCAL_EXAMPLE = ROOT / "Pulumi.local.example.yaml"
"""The settings that `local` begins with."""


def process_env() -> dict[str, str]:
    """Have all that `pulumi` needs; return the changes to the environment, made here already."""
    # Else refresh and destroy use the engine that the last deployment used, wherever the stack's
    # settings and DOCKER_HOST lead by now.
    changes = {"PULUMI_RUN_PROGRAM": "true"}
    os.environ.update(changes)
    ensure_local_settings()
    for part in (virtualenv.ensure, toolchain.ensure, state.ensure):
        changed = part()
        os.environ.update(changed)
        changes.update(changed)
    return changes


def ensure_local_settings() -> None:
    """Have a file with the settings of `local`, which Pulumi writes into: git doesn't track it."""
    if not LOCAL_FILE.exists():
        write_whole(LOCAL_FILE, LOCAL_EXAMPLE.read_text(), mode=0o644)


def exports(changes: Mapping[str, str]) -> str:
    """Return `changes` as lines for a shell's `eval`."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in changes.items())


def deploy_command(stack: str) -> str:
    """Return the command that deploys the stack, with all that a developer's machine needs."""
    return "make up" if stack == LOCAL else f"make deploy STACK={stack}"


def prepare_machine() -> None:
    """Have a Docker engine in swarm mode, with the images: the one that all here talk to."""
    # DOCKER_HOST stays as it is: it would take the place of a context, and of its certificates.
    images.ensure(engine.ensure())
