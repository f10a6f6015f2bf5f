"""Where the contestants meet: a swarm, mostly of one node, and the programs that ask it things."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.bootstrap import ROOT, images
from ops.bootstrap.console import UserError, run, say, wait
from ops.bootstrap.go import BUILD, go_env
from ops.bootstrap.go_tool import compiled
from ops.bootstrap.toolchain import cache
from testing.project import Project
from testing.site import SwarmUnderTest
from testing.testswarm import Node, TestSwarm

DOMAIN = "bench.example.com"
HERE = Path(__file__).parent
ANSWER_S = 120
"""Time limit for a started registry to answer, seconds."""
POLL_SECONDS = 0.1
"""Between two looks whether it does."""


@dataclass
class Testbed:
    """A swarm, and a folder for what lasts as long as the run."""

    swarm: TestSwarm
    folder: Path

    @property
    def node(self) -> Node:
        """The first one, mostly the only one: clients, Traefik and registry share its cores."""
        return self.swarm.nodes[0]

    def project(self, name: str) -> Project:
        """Return a checkout that deploys there."""
        return Project(self.folder / name, self.node.host)

    def site(self, project: Project) -> SwarmUnderTest:
        """Return the swarm with that checkout's stacks on it."""
        return SwarmUnderTest(self.swarm, project)

    def docker(self, *args: str | Path, timeout: float = 120) -> str:
        """Run `docker ARGS` on the node."""
        return self.swarm.docker(self.node, *args, timeout=timeout)

    def answers(self, url: str, login: str, header: str = "") -> None:
        """Wait until the registry lets `login` in, with the line `header` in its answer."""
        wait(
            f"{url} to answer",
            lambda: self._answers(url, login, header),
            ANSWER_S,
            every=POLL_SECONDS,
        )

    def _answers(self, url: str, login: str, header: str) -> bool:
        asked = ("curl", "-s", "-i", "--max-time", "5", "-H", f"Host: {DOMAIN}", "--user", login)
        answer = self.swarm.exec(self.node, *asked, url, check=False).stdout.lower()
        return " 200" in answer.partition("\n")[0] and header.lower() in answer

    def container(self, service: str) -> str:
        """Return the id of the running task of a service."""
        named = f"label=com.docker.swarm.service.name={service}"
        return wait(service, lambda: self.docker("ps", "-q", "--filter", named), 60).split()[0]

    def state(self, container: str) -> dict[str, Any]:
        """Return what the engine knows of a container's life: whether it runs, how it ended."""
        return dict(json.loads(self.docker("inspect", "--format", "{{json .State}}", container)))

    def stats(self, container: str) -> dict[str, Any]:
        """Return what the engine counts of a container now."""
        path = f"http://localhost/containers/{container}/stats?stream=false&one-shot=true"
        socket = self.node.host.removeprefix("unix://")
        return dict(json.loads(run(["curl", "-s", "--unix-socket", socket, path])))

    def load(self, url: str, *headers: str, connections: int, seconds: int) -> str:
        """Return what `wrk` prints that asks for `url` with these headers, again and again."""
        options = [word for header in headers for word in ("--header", header)]
        size = ("--threads", "1", "--connections", str(connections), "--timeout", "10s")
        command = ("wrk", *size, "--duration", f"{seconds}s", *options, url)
        return self.swarm.exec(self.node, *command, timeout=120).stdout

    def volume(self, name: str) -> Path:
        """Return the folder of a volume's files on this machine."""
        return self.node.dir / "data/volumes" / name / "_data"


@contextlib.contextmanager
def testbed(folder: Path, nodes: int) -> Iterator[Testbed]:
    """Yield a swarm; remove it afterwards."""
    with TestSwarm(nodes=nodes, images=images.tarballs().values()) as swarm:
        swarm.add_host(DOMAIN, swarm.nodes[0].ip)
        yield Testbed(swarm, folder)


def basic(login: str) -> str:
    """Return the header with `user:password`."""
    return f"Authorization: Basic {_base64(login)}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def docker_config(folder: Path, logins: Mapping[str, str]) -> Path:
    """Write a folder for DOCKER_CONFIG, with `user:password` by host."""
    folder.mkdir(parents=True, exist_ok=True)
    logins_by_host = {host: {"auth": _base64(login)} for host, login in logins.items()}
    (folder / "config.json").write_text(json.dumps({"auths": logins_by_host}))
    return folder


def crane() -> Path:
    """Return the client that images are pushed and pulled with."""
    return compiled(HERE / "tools", "crane", "github.com/google/go-containerregistry/cmd/crane")


def terraform() -> Path:
    """Return Terraform, which has to be on the machine: no registry of packages has it."""
    program = shutil.which("terraform")
    if not program:
        raise UserError("terraform is missing (1.5 or later): it is one of those compared with")
    return Path(program)


def terraform_provider() -> Path:
    """Return the folder of the provider behind pulumi-docker, as a plugin of Terraform's.

    Compiled from the modules that toolchain/plugins pins, among which it is put for that moment.
    """
    pins = ROOT / "toolchain/plugins"
    folder = cache() / "bench"
    program = folder / "terraform-provider-docker"
    made_from = folder / "made-from"
    source = HERE / "provider/main.go"
    made = hashlib.sha256()
    for file in (source, pins / "go.mod", pins / "go.sum"):
        made.update(file.read_bytes())
    key = made.hexdigest()
    if not program.exists() or not made_from.exists() or made_from.read_text() != key:
        say("compiling the provider for Terraform (minutes, the first time)")
        folder.mkdir(parents=True, exist_ok=True)
        overlay = folder / "overlay.json"
        target = pins / "terraform/main.go"
        overlay.write_text(json.dumps({"Replace": {str(target): str(source)}}))
        build: list[str | Path] = [*BUILD, "-overlay", overlay, "-tags", "no_compose"]
        build += ["-ldflags=-s -w", "-o", program, "./terraform"]
        run(build, cwd=pins, env=go_env(), timeout=1800)
        made_from.write_text(key)
    return folder


def timed_command(command: list[str | Path], cwd: Path, env: dict[str, str]) -> None:
    """Run it; raise a UserError with the end of its output when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0:
        raise UserError(f"`{command[0]}`: {(done.stdout + done.stderr).strip()[-1500:]}")
