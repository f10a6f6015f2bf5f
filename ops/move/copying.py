"""The program that copies images: on the side that has them, and on the one that they go to."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.distribution.config import PORT
from components.swarm.inspect import Node
from components.swarm.service import service_name
from components.token_server import PORT as TOKEN_PORT
from ops.bootstrap.console import UserError, say
from ops.job import Job, job_service, run_job, running
from ops.move.gate import GATE_PORT, LOGIN_GATE_PORT
from ops.program_log import fields_of
from ops.quantities import size

if TYPE_CHECKING:
    from ops.stack import Stack

PROGRAM = "/bin/registry-move"
TOKEN_FILE = "/run/secrets/move-token"  # noqa: S105 - a path
FILES_PORT = 5002
"""Port at which the program hands out the images."""
LONGEST_PAUSE = "5m"
"""Time after which writes go on, whatever has become of the move."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a move: the storage that its program has, and where that runs."""

    name: str = ""
    """Name of the storage, which its mark has; empty: it needs none."""
    files: Mapping[str, str] | None = field(default=None, repr=False)
    """Texts of the storage's configuration and CA, by path; None: it is the registry's storage."""
    mounts: Sequence[Mapping[str, Any]] = ()
    """Mounts of the storage, unless it is the registry's, in Docker's form."""
    networks: Sequence[str] = ()
    """Full ids of networks beside those of the registry."""
    constraints: Sequence[str] | None = None
    """Placement constraints; None: those of the registry."""

    @classmethod
    def on(cls, node: Node) -> Side:
        """Return the side that has the registry's volume, on a node."""
        return cls(constraints=[f"node.id == {node.id}"])

    def job(
        self, name: str, command: Sequence[str], token: str, labels: Mapping[str, str] | None = None
    ) -> Job:
        """Return the program's run on this side."""
        return Job(
            name=name,
            title="the move",
            command=[PROGRAM, *command, *(["--place", self.name] if self.name else [])],
            secrets={TOKEN_FILE: token, **(self.files or {})},
            has_storage=self.files is None,
            mounts=self.mounts,
            networks=self.networks,
            constraints=self.constraints,
            labels=labels or {"traefik.enable": "false"},
        )


@dataclass(frozen=True)
class Source:
    """The program that hands out the images."""

    address: str
    token: str


@contextlib.contextmanager
def source(
    stack: Stack, side: Side, name: str, labels: Mapping[str, str] | None = None
) -> Iterator[Source]:
    """Hand out the files of a side until the block ends; with `labels` it is the gate too."""
    token = secrets.token_urlsafe(32)
    registry, token_server = (
        service_name(stack.config.swarm_stack, name) for name in ("registry", "token")
    )
    command = ["serve", "--limit", LONGEST_PAUSE, "--files", f":{FILES_PORT}"]
    command += ["--gate", f":{GATE_PORT}=http://{registry}:{PORT}"]
    command += ["--gate", f":{LOGIN_GATE_PORT}=http://{token_server}:{TOKEN_PORT}"]
    command += ["--notice", f"{_notice_seconds(stack) if labels else 0}s"]
    with running(stack, side.job(name, command, token, labels)):
        address = f"http://{job_service(stack.config.swarm_stack, name)}:{FILES_PORT}"
        yield Source(address, token)


def run_step(stack: Stack, side: Side, files: Source, step: str) -> Mapping[str, Any]:
    """Run a step of the copy on the side that the images go to, and return what it did."""
    command = [step, "--source", files.address, "--notice", f"{_notice_seconds(stack)}s"]
    job = side.job("move", command, files.token)
    done: dict[str, Any] = {}
    code = run_job(stack, job, lambda line: done.update(_shown(line)))
    if code != 0 or "counts" not in done:
        raise UserError(f"the move stopped: {done.get('msg') or f'exit code {code}'}")
    return done


def say_pause(pause: Mapping[str, Any]) -> None:
    """Say how long pushes waited, as the step `end` reports it."""
    if pause["expired"]:
        say(f"pushes waited for {LONGEST_PAUSE}, and went on before the end; nothing is lost")
    else:
        say(f"pushes waited for {pause['seconds']:.0f} s, and went on by themselves")


def _notice_seconds(stack: Stack) -> int:
    """Return the time until Traefik leads to a gate that has come, or away from one that goes."""
    return stack.settings.routes.registry.discovery_seconds


def _shown(line: str) -> Mapping[str, Any]:
    """Return the fields of a line of the program's log, and show how far it is."""
    fields = fields_of(line)
    if fields is None:
        say(line)
        return {}
    if fields.get("msg") == "copying":
        say(f"copied: {size(fields['bytes'])} of {size(fields['of'])}")
    return fields
