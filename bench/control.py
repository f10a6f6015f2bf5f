"""The control path: how long a deployment takes, beside Terraform and `docker stack deploy`."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.figures import Figure, Rounds
from bench.testbed import (
    DOMAIN,
    HERE,
    Testbed,
    terraform,
    terraform_provider,
    timed_command,
)
from components.credentials import htpasswd_line
from components.distribution.config import REGISTRY_IMAGE, ConfigOptions, Secrets, Wiring, document
from components.proxy import TRAEFIK_IMAGE
from ops.bootstrap.console import run, wait
from testing.project import Project

FIRST_ROUNDS, CHANGE_ROUNDS, QUIET_ROUNDS = 5, 3, 5
PORTS = {"ours": 80, "terraform": 81, "stack": 82}
USER, PASSWORD = "admin", secrets.token_urlsafe(24)
MARK = "X-Bench"
"""A header that says which configuration serves."""


def marked(number: int) -> dict[str, object]:
    """Registry configuration with that mark."""
    return {"http": {"headers": {MARK: [str(number)]}}}


class PulumiDeployment:
    """The program, by `pulumi`."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self.project: Project = testbed.project("ours")
        self.project.init(
            "bench",
            {
                "registry:stackName": "ours",
                "registry:domain": DOMAIN,
                "registry:proxy": "stack",
                "registry:network": "ours",
                "registry:proxyHttpPort": str(PORTS["ours"]),
            },
        )
        self.project.set("bench", f"registry:passwords.{USER}", PASSWORD, "--path", "--secret")
        self.mark(0)

    def mark(self, number: int) -> None:
        path = f"registry:config.http.headers.{MARK}[0]"
        self.project.set("bench", path, f"n{number}", "--path")

    def deploy(self) -> None:
        self.project.up("bench")

    def remove(self) -> None:
        self.project.ok("destroy", "--yes", "--stack", "bench")
        self._testbed.docker("volume", "rm", "--force", "ours_registry-data")


class Terraform:
    """An equal deployment, by `terraform`."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._folder = testbed.folder / "terraform"
        self._folder.mkdir()
        (self._folder / "main.tf").write_text((HERE / "peers/main.tf").read_text())
        rc = self._folder / "terraform.rc"
        rc.write_text(
            "provider_installation {\n  dev_overrides {\n"
            f'    "kreuzwerker/docker" = "{terraform_provider()}"\n  }}\n  direct {{}}\n}}\n'
        )
        self._environment = {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(rc),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        self.mark(0)

    def mark(self, number: int) -> None:
        told = {
            "host": self._testbed.node.host,
            "stack": "terraform",
            "domain": DOMAIN,
            "port": PORTS["terraform"],
            "registry_image": REGISTRY_IMAGE,
            "traefik_image": TRAEFIK_IMAGE,
            "node": self._testbed.node.name,
            **credentials(number),
        }
        (self._folder / "terraform.tfvars.json").write_text(json.dumps(told))

    def run(self, *words: str) -> None:
        timed_command([terraform(), *words, "-input=false"], self._folder, self._environment)

    def deploy(self) -> None:
        self.run("apply", "-auto-approve")

    def remove(self) -> None:
        self.run("destroy", "-auto-approve")


class Stack:
    """An equal deployment, by `docker stack deploy`."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._folder = testbed.folder / "stack"
        self._folder.mkdir()
        (self._folder / "stack.yml").write_text((HERE / "peers/stack.yml").read_text())
        told = credentials(0)
        (self._folder / "config.yml").write_text(told["config"])
        (self._folder / "htpasswd").write_text(told["htpasswd"])
        self._environment = {
            **os.environ,
            "STACK": "stack",
            "DOMAIN": DOMAIN,
            "PORT": str(PORTS["stack"]),
            "REGISTRY_IMAGE": REGISTRY_IMAGE,
            "TRAEFIK_IMAGE": TRAEFIK_IMAGE,
            "NODE": testbed.node.name,
        }

    def deploy(self) -> None:
        docker: list[str | Path] = ["docker", "--host", self._testbed.node.host, "stack", "deploy"]
        deploy = ["--resolve-image", "never", "--compose-file", "stack.yml", "stack"]
        timed_command([*docker, *deploy], self._folder, self._environment)

    def remove(self) -> None:
        self._testbed.docker("stack", "rm", "stack")
        gone = partial(self._gone, self._testbed)
        wait("the stack to be gone", gone, 60)
        self._testbed.docker("volume", "rm", "--force", "stack_registry-data")

    @staticmethod
    def _gone(testbed: Testbed) -> bool:
        label = "label=com.docker.stack.namespace=stack"
        kinds = (("network", "ls"), ("ps", "--all"))
        return not any(testbed.docker(*kind, "-q", "--filter", label) for kind in kinds)


def credentials(number: int) -> dict[str, str]:
    """Configuration and logins of the peers: what the program makes of the same settings."""
    config = marked(number)
    config["http"] = {"headers": {MARK: [f"n{number}"]}}
    made = document(ConfigOptions(config=config), Secrets(http="s" * 32), Wiring())
    text = json.dumps(made, indent=2)
    line = htpasswd_line(USER, PASSWORD, b"0123456789abcdef", 10)
    return {"config": text, "htpasswd": f"{line}\n"}


def measure(testbed: Testbed) -> Iterator[Figure]:
    """All of it; two deployments stay until the end."""
    ours, peer, stack = PulumiDeployment(testbed), Terraform(testbed), Stack(testbed)
    login = f"{USER}:{PASSWORD}"

    def until_served(name: str, deploy: Callable[[], object], header: str = "") -> None:
        deploy()
        testbed.answers(f"http://127.0.0.1:{PORTS[name]}/v2/", login, header)

    first = Rounds()
    for _ in range(FIRST_ROUNDS):
        for name, each in (("ours", ours), ("terraform", peer), ("stack", stack)):
            first.run({name: partial(until_served, name, each.deploy)}, 1)
            each.remove()
            wait("tasks to end", lambda: not testbed.docker("ps", "--all", "--quiet"), 120)
    for name, target in (("terraform", 1.0), ("stack", 1.5)):
        command = {"terraform": "`terraform apply`", "stack": "`docker stack deploy`"}[name]
        yield Figure(
            what=f"first deployment until it answers / {command}",
            ours=first.times["ours"],
            peer=first.times[name],
            unit="s",
            target=target,
        )

    until_served("ours", ours.deploy)
    until_served("terraform", peer.deploy)
    quiet = Rounds()
    project = ours.project
    quiet.run(
        {
            "preview": lambda: project.ok("preview", "--expect-no-changes", "--stack", "bench"),
            "plan": lambda: peer.run("plan", "-detailed-exitcode"),
            "up": lambda: project.up("bench", "--expect-no-changes"),
            "up, with its preview": lambda: project.ok(
                "up", "--yes", "--expect-no-changes", "--stack", "bench"
            ),
            "apply": lambda: peer.run("apply", "-auto-approve"),
        },
        QUIET_ROUNDS,
    )
    for what, mine, theirs, must in (
        ("nothing changed: `pulumi preview` / `terraform plan`", "preview", "plan", 0.5),
        ("nothing changed: `pulumi up --skip-preview` / `terraform apply`", "up", "apply", 0.6),
        (
            "nothing changed: `pulumi up` / `terraform apply`",
            "up, with its preview",
            "apply",
            None,
        ),
    ):
        yield Figure(
            what=what, ours=quiet.times[mine], peer=quiet.times[theirs], unit="s", target=must
        )

    change = Rounds()
    for number in range(1, CHANGE_ROUNDS + 1):
        ours.mark(number)
        peer.mark(number)
        header = f"{MARK}: n{number}"
        change.run(
            {
                "ours": partial(until_served, "ours", ours.deploy, header),
                "terraform": partial(until_served, "terraform", peer.deploy, header),
            },
            1,
        )
    yield Figure(
        what="one setting changed, until it is served / `terraform apply`",
        ours=change.times["ours"],
        peer=change.times["terraform"],
        unit="s",
        target=1.0,
    )
    ours.remove()
    peer.remove()


def version() -> str:
    """Terraform's."""
    return run([terraform(), "version", "-json"]).split('"terraform_version": "')[1].split('"')[0]
