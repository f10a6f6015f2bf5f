"""A run that is stopped at a random moment is ended by the next one, whatever it had done.

INTERRUPTIONS says how often (2), INTERRUPTION_SEED at which moments. A machine of its own: a swarm
of one node, a checkout, and a state in the checkout, as `make up` has them.

One file, since its tests share what they deploy.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops.bootstrap import images
from ops.bootstrap.console import wait
from testing.project import Project, Result
from testing.site import SwarmUnderTest
from testing.testswarm import TestSwarm

TIMES = int(os.environ.get("INTERRUPTIONS", "2"))
SEED = os.environ.get("INTERRUPTION_SEED") or secrets.token_hex(4)
STACK, REGISTRY = "registry-local", "registry-local_registry"
VICTIMS = {
    "make": "make",
    "ops": "python3",
    "pulumi": "pulumi",
    "program": "python",
    "provider": "pulumi-resource-",
    "all": "",
}
"""Which processes a SIGKILL meets, and what the kernel calls them, in 15 letters."""


@dataclass
class Machine:
    """A developer's machine: its engine is a swarm of one node."""

    site: SwarmUnderTest
    logs: Path
    passwords: set[str] = field(default_factory=set)
    """All that the registry has had so far, as `serves` saw."""
    _runs: int = field(default=0)

    @property
    def folder(self) -> Path:
        return self.site.project.folder

    def make(self, *args: str) -> Result:
        """Run `make ARGS` on the machine, to its end."""
        done = self.site.swarm.exec(
            self.site.swarm.nodes[0], *self._command(*args), check=False, timeout=300
        )
        return Result(done.returncode, done.stdout + done.stderr, done.stdout)

    def _command(self, *args: str) -> list[str]:
        """Return `make ARGS` as somebody types it who has chosen no backend and no engine."""
        chosen = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
        unset = [word for name in (*chosen, "DOCKER_HOST") for word in ("-u", name)]
        return ["env", *unset, "make", "--no-print-directory", "-C", str(self.folder), *args]

    def made(self, *args: str) -> float:
        """Run `make ARGS`, which must work; return the seconds that it took."""
        begin = time.monotonic()
        result = self.make(*args)
        assert result.code == 0, f"make {' '.join(args)}:\n{result.text}"
        assert "Traceback" not in result.text, result.text
        return time.monotonic() - begin

    def interrupt(self, args: tuple[str, ...], after: float, how: str) -> str:
        """Start `make WORDS`, and stop it after so many seconds; returns what it said."""
        self._runs += 1
        mark, log = f"run-{self._runs}", self.logs / f"{self._runs}.log"
        process = self.site.swarm.spawn(
            self.site.swarm.nodes[0],
            *("env", f"INTERRUPTION={mark}", *self._command(*args)),
            log=log,
        )
        with contextlib.suppress(Exception):
            process.wait(after)
        number = signal.SIGINT if how.startswith("INT") else signal.SIGKILL
        for _ in range(2 if how == "INT INT" else 1):
            for pid, name in _processes(mark):
                # Ctrl-C reaches those of the terminal, and not the plugins that Pulumi starts.
                victim = "" if how.startswith("INT") else VICTIMS[how]
                if (name in ("make", "python3", "pulumi") if number == signal.SIGINT else
                        victim in ("", name)):  # fmt: skip
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            time.sleep(0.3)
        process.wait(120)  # Of what survives it, the next run has to take account.
        return log.read_text(errors="replace")

    def serves(self) -> None:
        """Check that the registry answers, to its own login alone."""
        node, url = self.site.swarm.nodes[0], "http://localhost/v2/"
        password = self.pulumi("stack", "output", "password", "--show-secrets", "-s", "local")
        self.passwords.add(password)
        assert self.site.status(url, node=node) == 401
        assert self.site.status(url, f"admin:{password}", node) == 200

    def files_with_passwords(self) -> list[Path]:
        """Return the files of the checkout's settings, its state and the logs that show one."""
        files = [self._file, *self.logs.rglob("*"), *(self.folder / ".state").rglob("*")]
        return [
            file
            for file in files
            if file.is_file()
            and any(each in file.read_text(errors="replace") for each in self.passwords)
        ]

    def left(self) -> str:
        """Return the services, networks and secrets of the stack."""
        node = self.site.swarm.nodes[0]
        label = ("--filter", f"label=com.docker.stack.namespace={STACK}", "-q")
        return "".join(
            self.site.swarm.docker(node, kind, "ls", *label)
            for kind in ("service", "network", "secret")
        )

    @property
    def _file(self) -> Path:
        return self.folder / "Pulumi.local.yaml"

    def rotate(self, turn: int) -> None:
        """Ask for new passwords: two secrets and two services change."""
        key = "  registry:passwordRotation:"
        lines = self._file.read_text().splitlines()
        kept = [line for line in lines if not line.startswith(key)]
        kept.insert(kept.index("config:") + 1, f"{key} turn-{turn}")
        self._file.write_text("\n".join([*kept, ""]))

    def pulumi(self, *args: str) -> str:
        """Run `pulumi ARGS` on the state of the checkout, which must work."""
        state = self.folder / ".state"
        done = self.site.swarm.exec(
            self.site.swarm.nodes[0],
            *("sh", "-c", 'cd "$0" && exec "$@"', str(self.folder), "pulumi", *args),
            env={
                "PULUMI_BACKEND_URL": f"file://{state}",
                "PULUMI_CONFIG_PASSPHRASE_FILE": str(state / "passphrase"),
                "PULUMI_SKIP_UPDATE_CHECK": "1",
            },
        )
        return done.stdout.strip()

    def skopeo(self, *args: str | Path) -> str:
        """Run skopeo with the stack's own login."""
        password = self.pulumi("stack", "output", "password", "--show-secrets", "-s", "local")
        command, *rest = args
        side = "dest-" if command == "copy" else ""
        return self.site.swarm.exec(
            self.site.swarm.nodes[0],
            *("skopeo", "--insecure-policy", command, f"--{side}tls-verify=false"),
            *(f"--{side}creds=admin:{password}", *rest),
        ).stdout.strip()

    def digest(self) -> str:
        """Return the digest of the image that was pushed, with all of it brought back."""
        image = "docker://localhost/hello:1"
        shutil.rmtree(self.logs / "pulled", ignore_errors=True)
        password = self.pulumi("stack", "output", "password", "--show-secrets", "-s", "local")
        self.site.swarm.exec(
            self.site.swarm.nodes[0],
            *("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false"),
            *(f"--src-creds=admin:{password}", image, f"dir:{self.logs / 'pulled'}"),
        )
        return self.skopeo("inspect", "--format", "{{.Digest}}", image)

    def forget(self) -> None:
        """Check that all is as before the first `make up`, but for the images."""
        shutil.rmtree(self.folder / ".state", ignore_errors=True)
        self._file.unlink(missing_ok=True)
        self.site.clean()


def _processes(mark: str) -> list[tuple[int, str]]:
    """Return the ids and names of all processes that the marked run has started."""
    processes = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"INTERRUPTION={mark}\0".encode() in (path / "environ").read_bytes():
                processes.append((int(path.name), (path / "comm").read_text().strip()))
    return processes


@pytest.fixture
def fresh(machine: Machine) -> Iterator[Machine]:
    """Yield the machine, on which nothing is deployed before or afterwards."""
    yield machine
    machine.forget()


@pytest.fixture
def digest(machine: Machine, archive: Path) -> str:
    """Return the digest of an image in the deployed registry."""
    machine.made("up")
    machine.skopeo("copy", f"docker-archive:{archive}", "docker://localhost/hello:1")
    return machine.digest()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Yield a machine on which nothing is deployed."""
    with TestSwarm(nodes=1, images=images.tarballs().values()) as swarm:
        folder = tmp_path_factory.mktemp("checkout") / "registry"
        project = Project(folder, "unix:///var/run/docker.sock")
        machine = Machine(SwarmUnderTest(swarm, project), tmp_path_factory.mktemp("logs"))
        yield machine


@pytest.mark.timeout(600 + 300 * TIMES)
def test_whatever_was_interrupted_is_ended_by_the_next_run(fresh: Machine) -> None:
    machine = fresh
    print(f"INTERRUPTION_SEED={SEED}")
    chance = random.Random(SEED)  # noqa: S311 - moments, not secrets
    seconds = machine.made("up")
    full = {"up": seconds, "deploy": seconds, "down": 2 * seconds}
    machine.forget()

    def stopped(*args: str) -> None:
        how = chance.choice(["INT", "INT", "INT INT", *VICTIMS])
        after = chance.uniform(0, full[args[0]])
        first = machine.interrupt(args, after, how)
        begin = time.monotonic()
        result = machine.make(*args)
        seconds = time.monotonic() - begin
        (machine.logs / "next.log").write_text(result.text)
        summary = f"make {' '.join(args)}, {how} after {after:.1f} s; the next took {seconds:.1f} s"
        print(summary, flush=True)
        assert result.code == 0, f"{summary}\n--- first\n{first}\n--- next\n{result.text}"

    for turn in range(TIMES):
        stopped("up")
        machine.serves()
        machine.rotate(turn)
        stopped("deploy", "STACK=local")
        machine.serves()
        assert machine.files_with_passwords() == []
        stopped("down")
        assert machine.files_with_passwords() == []
        wait("nothing to be left", lambda: not machine.left(), 30)
        machine.forget()


def test_a_network_that_was_made_by_hand_is_not_this_stacks(fresh: Machine) -> None:
    machine, swarm = fresh, fresh.site.swarm
    node = swarm.nodes[0]
    swarm.docker(node, "network", "create", "--driver=overlay", "--attachable", STACK)
    result = machine.make("preview", "STACK=local")
    swarm.docker(node, "network", "rm", STACK)
    assert result.code != 0
    assert f"The network {STACK} is on this swarm already" in result.text
    assert "registry:createNetwork false" in result.text
    assert not machine.left()


def test_nothing_is_recovered_where_nothing_is_wrong(machine: Machine, digest: str) -> None:
    before = machine.site.inspect("service", REGISTRY)["Version"]
    result = machine.make("recover", "STACK=local")
    assert result.code == 0
    assert "there is nothing to recover" in result.text
    assert machine.site.inspect("service", REGISTRY)["Version"] == before
    assert machine.digest() == digest


def test_logs_are_one_stream_in_the_order_of_time(machine: Machine, digest: str) -> None:
    assert digest, "both Traefik and the registry had something to log"
    shown = machine.make("logs")
    assert shown.code == 0, shown.text
    lines = shown.out.splitlines()
    assert {f"{STACK}_proxy", REGISTRY} <= {line.split()[1].partition("@")[0] for line in lines}
    times = [line.split()[0] for line in lines]
    assert all(re.fullmatch(r"[\d-]{10}T[\d:]{8}", each) for each in times)
    assert times == sorted(times)


def test_what_runs_is_taken_over_when_the_state_is_lost(machine: Machine, digest: str) -> None:
    before = machine.site.inspect("service", REGISTRY)
    shutil.rmtree(machine.folder / ".state")
    for args in (("preview", "STACK=local"), ("up",), ("deploy", "STACK=local")):
        refused = machine.make(*args)
        assert refused.code != 0
        assert "is on this swarm already, and this state doesn't know it" in refused.text
        assert "make recover STACK=local" in refused.text
        assert "Traceback" not in refused.text
    assert machine.site.inspect("service", REGISTRY)["Version"] == before["Version"]
    result = machine.make("recover", "STACK=local")
    assert result.code == 0, result.text
    assert "new passwords: admin" in result.text
    assert machine.site.inspect("service", REGISTRY)["ID"] == before["ID"]
    assert machine.digest() == digest
    machine.pulumi("preview", "--expect-no-changes", "-s", "local")
    known = machine.pulumi("stack", "export", "-s", "local")
    secrets_there = machine.site.swarm.docker(machine.site.swarm.nodes[0], "secret", "ls", "-q")
    assert all(secret in known for secret in secrets_there.split()), "the old ones are gone"


def test_a_state_that_was_cut_short_is_put_back(machine: Machine, digest: str) -> None:
    (file,) = (machine.folder / ".state").rglob("stacks/**/local.json")
    machine.rotate(99)
    machine.made("deploy", "STACK=local")
    file.write_text(file.read_text()[:1000])
    cut = machine.make("deploy", "STACK=local")
    assert cut.code != 0
    assert "make recover STACK=local" in cut.text
    machine.made("recover", "STACK=local")
    assert machine.digest() == digest
    machine.pulumi("preview", "--expect-no-changes", "-s", "local")


def test_a_swarm_that_was_made_anew_is_deployed_to_again(machine: Machine, digest: str) -> None:
    node, swarm = machine.site.swarm.nodes[0], machine.site.swarm

    def anew() -> None:
        swarm.docker(node, "swarm", "leave", "--force")
        swarm.docker(node, "swarm", "init", "--advertise-addr", node.ip)
        node.id = swarm.docker(node, "info", "--format", "{{.Swarm.NodeID}}")

    anew()
    machine.made("up")
    assert machine.digest() == digest
    anew()
    machine.made("down")
    machine.made("up")
    assert machine.digest() == digest
