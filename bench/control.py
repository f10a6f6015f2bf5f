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
    """Return a registry configuration with that mark."""
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
        variables = {
            "host": self._testbed.node.host,
            "stack": "terraform",
            "domain": DOMAIN,
            "port": PORTS["terraform"],
            "registry_image": REGISTRY_IMAGE,
            "traefik_image": TRAEFIK_IMAGE,
            "node": self._testbed.node.name,
            **credentials(number),
        }
        (self._folder / "terraform.tfvars.json").write_text(json.dumps(variables))

    def run(self, *args: str) -> None:
        timed_command([terraform(), *args, "-input=false"], self._folder, self._environment)

    def deploy(self) -> None:
        self.run("apply", "-auto-approve")

    def remove(self) -> None:
        self.run("destroy", "-auto-approve")


class StackFile:
    """An equal deployment, by `docker stack deploy`."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._folder = testbed.folder / "stack"
        self._folder.mkdir()
        (self._folder / "stack.yml").write_text((HERE / "peers/stack.yml").read_text())
        secrets = credentials(0)
        (self._folder / "config.yml").write_text(secrets["config"])
        (self._folder / "htpasswd").write_text(secrets["htpasswd"])
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
    """Return the peers' configuration and logins: the program's for the same settings."""
    config = marked(number)
    config["http"] = {"headers": {MARK: [f"n{number}"]}}
    made = document(ConfigOptions(config=config), Secrets(http="s" * 32), Wiring())
    text = json.dumps(made, indent=2)
    line = htpasswd_line(USER, PASSWORD, b"0123456789abcdef", 10)
    return {"config": text, "htpasswd": f"{line}\n"}


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Measure first deployments, those that change nothing, and a change of one setting."""
    contest = Contest(testbed)
    yield from contest.first_deployments()
    contest.until_served("ours")
    contest.until_served("terraform")
    yield from contest.without_a_change()
    yield from contest.one_change()
    contest.ours.remove()
    contest.terraform.remove()


class Contest:
    """The program, Terraform and `docker stack deploy`, on one swarm."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self.ours, self.terraform = PulumiDeployment(testbed), Terraform(testbed)
        self._deployments: dict[str, PulumiDeployment | Terraform | StackFile] = {
            "ours": self.ours,
            "terraform": self.terraform,
            "stack": StackFile(testbed),
        }

    def until_served(self, name: str, header: str = "") -> None:
        """Deploy by `name`, until the registry answers with the line `header`."""
        self._deployments[name].deploy()
        login = f"{USER}:{PASSWORD}"
        self._testbed.answers(f"http://127.0.0.1:{PORTS[name]}/v2/", login, header)

    def first_deployments(self) -> Iterator[Figure]:
        """Deploy from nothing, each by itself and in turns; nothing stays."""
        rounds = Rounds()
        for _ in range(FIRST_ROUNDS):
            for name, deployment in self._deployments.items():
                rounds.run({name: partial(self.until_served, name)}, 1)
                deployment.remove()
                wait("tasks to end", self._no_task, 120)
        for name, command, target in (
            ("terraform", "terraform apply", 1.0),
            ("stack", "docker stack deploy", 1.5),
        ):
            yield Figure(
                title=f"first deployment until it answers / `{command}`",
                ours=rounds.times["ours"],
                peer=rounds.times[name],
                unit="s",
                target=target,
            )

    def _no_task(self) -> bool:
        return not self._testbed.docker("ps", "--all", "--quiet")

    def without_a_change(self) -> Iterator[Figure]:
        """Preview and deploy what is deployed."""
        project, peer, unchanged = self.ours.project, self.terraform, "--expect-no-changes"
        actions: dict[str, Callable[[], object]] = {
            "preview": lambda: project.ok("preview", unchanged, "--stack", "bench"),
            "plan": lambda: peer.run("plan", "-detailed-exitcode"),
            "up --skip-preview": lambda: project.up("bench", unchanged),
            "up": lambda: project.ok("up", "--yes", unchanged, "--stack", "bench"),
            "apply": lambda: peer.run("apply", "-auto-approve"),
        }
        rounds = Rounds()
        rounds.run(actions, QUIET_ROUNDS)
        for command, peer_command, target in (
            ("preview", "plan", 0.5),
            ("up --skip-preview", "apply", 0.6),
            ("up", "apply", None),
        ):
            yield Figure(
                title=f"nothing changed: `pulumi {command}` / `terraform {peer_command}`",
                ours=rounds.times[command],
                peer=rounds.times[peer_command],
                unit="s",
                target=target,
            )

    def one_change(self) -> Iterator[Figure]:
        """Change one setting of the registry, until it is served with it."""
        rounds = Rounds()
        for number in range(1, CHANGE_ROUNDS + 1):
            self.ours.mark(number)
            self.terraform.mark(number)
            header = f"{MARK}: n{number}"
            names = ("ours", "terraform")
            rounds.run({name: partial(self.until_served, name, header) for name in names}, 1)
        yield Figure(
            title="one setting changed, until it is served / `terraform apply`",
            ours=rounds.times["ours"],
            peer=rounds.times["terraform"],
            unit="s",
            target=1.0,
        )


def version() -> str:
    """Return the version of Terraform."""
    return run([terraform(), "version", "-json"]).split('"terraform_version": "')[1].split('"')[0]
