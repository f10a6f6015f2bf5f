"""A swarm with the program's stacks on it, as their users see them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from components.distribution.config import REGISTRY_IMAGE
from ops.bootstrap.console import UserError, wait

from .project import ROOT, CommandError, Project, Result
from .testswarm import ClientHost, Node, TestSwarm

AWAY = {502, 503, 504}
"""Statuses where no task answers: clients try again. 404 would be an image that isn't there."""
STARTED_S = 120
"""Time limit for a task to run again after its node came back, seconds."""


@dataclass
class SwarmUnderTest:
    """A test swarm with a checkout of the project, and the questions that tests have about them."""

    swarm: TestSwarm
    project: Project
    _entries: dict[str, Node] = field(default_factory=dict)
    _trusted: list[str] = field(default_factory=list)

    def make(self, *args: str, timeout: float = 600, **variables: str) -> Result:
        """Run `make ARGS` in the checkout, outside the swarm, trusting what `trust` named."""
        done = self.swarm.exec(
            self.swarm.outside,
            *("make", "--no-print-directory", "-C", str(self.project.folder), *args),
            check=False,
            timeout=timeout,
            env={**self.project.environment, **self._certificates(), **variables},
        )
        return Result(done.returncode, done.stdout + done.stderr, done.stdout)

    def made(self, *args: str) -> str:
        """Run `make ARGS`, which must work."""
        result = self.make(*args)
        if result.code != 0:
            raise CommandError(f"make {' '.join(args)}:\n{result.text}")
        return result.text

    def _certificates(self) -> dict[str, str]:
        return {"SSL_CERT_FILE": self._trusted[1]} if self._trusted else {}

    def clean(self) -> None:
        """Take away all that stacks leave on a swarm, without asking Pulumi, which has tests."""
        first = self.any_node()
        if services := self.swarm.docker(first, "service", "ls", "-q").split():
            self.swarm.docker(first, "service", "rm", *services)
        # A network's number may be the next one's at once: so its tasks have to be gone first.
        for node in self.swarm.nodes:
            wait("tasks to end", partial(self._no_task, node), STARTED_S)
        networks = ("network", "ls", "-q", "--filter", "driver=overlay", "--filter", "type=custom")
        for network in self.swarm.docker(first, *networks).split():
            wait(
                "a network to be free",
                partial(self._done, first, "network", "rm", network),
                STARTED_S,
            )
        for node in self.swarm.nodes:
            for volume in self.swarm.docker(node, "volume", "ls", "-q").split():
                remove = (node, "volume", "rm", "--force", volume)
                wait("a volume to be free", partial(self._done, *remove), STARTED_S)
            for label in self.labels(node):
                self.update_node(node.id, "--label-rm", label)

    def update_node(self, node: str, *change: str) -> None:
        """Run `docker node update`; repeat it when Swarm came between ("out of sequence")."""
        update = partial(self._done, self.any_node(), "node", "update", *change, node)
        wait(f"node {node} to be updated", update, STARTED_S)

    def _no_task(self, node: Node) -> bool:
        """Kill the tasks there, since stopping takes up to 80 s; return whether none ran."""
        tasks = ("ps", "-q", "--filter", "label=com.docker.swarm.service.id")
        running = self.swarm.docker(node, *tasks).split()
        if running:
            self.swarm.docker(node, "kill", *running)
        return not running

    def _done(self, node: Node, *args: str) -> bool:
        self.swarm.docker(node, *args)
        return True

    def tasks(self, service: str) -> list[Node]:
        """Return the nodes of the service's running tasks."""
        shown = self.swarm.docker(
            self.any_node(),
            *("service", "ps", service, "--filter", "desired-state=running"),
            *("--format", "{{.Node}} {{.CurrentState}}"),
        )
        names = [line.split()[0] for line in shown.splitlines() if line.split()[1] == "Running"]
        return [node for node in self.swarm.nodes if node.name in names]

    def node_of(self, service: str) -> Node:
        """Return the node of a service with one task, once it runs."""
        return wait(f"{service} to run", lambda: self.tasks(service), STARTED_S)[0]

    def any_node(self) -> Node:
        """Return a node that is up."""
        return next(node for node in self.swarm.nodes if node.process)

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """Return what `docker KIND inspect NAME` prints."""
        output = self.swarm.docker(self.any_node(), kind, "inspect", name)
        return dict(json.loads(output)[0])

    def container(self, service: str) -> tuple[Node, str]:
        """Return the node and the id of the container of a service with one task."""
        node = self.node_of(service)
        return node, self._containers_on(node, service)[0]

    def containers(self, service: str) -> dict[str, Node]:
        """Return the nodes of all containers of a service that run, by the containers' ids."""
        return {
            container: node
            for node in self.swarm.nodes
            if node.process
            for container in self._containers_on(node, service)
        }

    def _containers_on(self, node: Node, service: str) -> list[str]:
        named = f"label=com.docker.swarm.service.name={service}"
        return self.swarm.docker(node, "ps", "-q", "--no-trunc", "--filter", named).split()

    def inside(self, service: str, *command: str) -> str:
        """Return what a command prints in a running task of a service."""
        node, container = self.container(service)
        return self.swarm.docker(node, "exec", container, *command)

    def log(self, service: str, *parts: str) -> str:
        """Return the lines of a service's log that have one of `parts`; all where none is given."""
        text = self.swarm.docker(self.any_node(), "service", "logs", "--raw", service)
        lines = text.splitlines()
        return "\n".join(line for line in lines if not parts or any(each in line for each in parts))

    def unanswered(self, proxy: str) -> str:
        """Return the lines of Traefik's log of requests that no task answered, and of errors."""
        return self.log(proxy, *(f'HTTP/1.1" {status} ' for status in AWAY), " WRN ", " ERR ")

    def labels(self, node: Node) -> dict[str, str]:
        """Return the labels of a node."""
        return dict(self.inspect("node", node.id)["Spec"]["Labels"])

    def holders(self, label: str) -> list[str]:
        """Return the names of the nodes that have `label=true`."""
        return [node.name for node in self.swarm.nodes if self.labels(node).get(label) == "true"]

    def resolve(self, domain: str, proxy: str) -> Node:
        """Make `domain` lead to the node of service `proxy`, on all nodes; return that node."""
        there = self._entries[domain] = self.node_of(proxy)
        # localhost is that node's own, where docker asks for no TLS.
        if domain != "localhost":
            self.swarm.add_host(domain, there.ip)
        return there

    def trust(self, root: Path) -> None:
        """Trust the certificates of that root from here on."""
        self._trusted = ["--cacert", str(root)]

    @property
    def root(self) -> str:
        """File with the root of the CA that is trusted."""
        return self._trusted[1]

    def status(
        self,
        url: str,
        login: str | None = None,
        node: Node | ClientHost | None = None,
        patience_s: int = 10,
    ) -> int:
        """Return the HTTP status of `url` seen from a node; 0 without a valid answer."""
        return self.answer(url, login, node, patience_s)[0]

    def answer(
        self,
        url: str,
        login: str | None = None,
        node: Node | ClientHost | None = None,
        patience_s: int = 10,
    ) -> tuple[int, str]:
        """Return the status as `status` does, and why there is none, in curl's words."""
        credentials = ["--user", login] if login else []
        done = self.swarm.exec(
            node or self.any_node(),
            *("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"),
            *("--max-time", str(patience_s)),
            *(*self._trusted, *credentials, url),
            check=False,
        )
        return int(done.stdout or 0), done.stderr.strip()

    def login(self, stack: str) -> str:
        """Return `user:password` of the stack's first user."""
        outputs = self.project.outputs(stack)
        return f"{outputs['username']}:{outputs['password']}"

    def serves(self, stack: str, domain: str, proxy: str) -> None:
        """Wait until strangers get 401 and the stack's own login 200."""
        url, login = f"{self.project.outputs(stack)['url']}/v2/", self.login(stack)

        def ready() -> bool:
            # Each time, since Swarm may start another task elsewhere, as after a node was down.
            node = self.resolve(domain, proxy)
            return (self.status(url, node=node), self.status(url, login, node)) == (401, 200)

        wait(f"{url} to answer", ready, STARTED_S)

    def takes_tokens(self, url: str, node: Node | ClientHost) -> None:
        """Wait until clients are sent for tokens, and Traefik leads to the registry who has one.

        Before that, the token server answers those that have none, or a password.
        """
        asked = ("curl", "-s", "-o", "/dev/null", "-D", "-", "--max-time", "10", url)

        def challenge(*header: str) -> str:
            return self.swarm.exec(node, *asked, *header, check=False).stdout.lower()

        def sends_for_tokens() -> bool:
            answers = (challenge(), challenge("-H", "Authorization: Bearer none"))
            return all("www-authenticate: bearer " in answer for answer in answers)

        wait(f"{url} to take tokens", sends_for_tokens, STARTED_S)

    def push(self, stack: str, domain: str, name: str, source: Path) -> str:
        """Push a docker-archive with skopeo; return the digest that the registry gives it."""
        creds = ("--dest-creds", self.login(stack))
        target = f"docker://{domain}/{name}"
        self.skopeo(domain, "copy", *creds, f"docker-archive:{source}", target)
        return self.digest(stack, domain, name)

    def digest(self, stack: str, domain: str, name: str) -> str:
        """Return the digest of an image in the registry of a stack."""
        image, creds = f"docker://{domain}/{name}", ("--creds", self.login(stack))
        return self.skopeo(domain, "inspect", "--format", "{{.Digest}}", *creds, image).strip()

    def skopeo(self, domain: str, command: str, *args: str) -> str:
        """Run skopeo on the node that `domain` leads to; any certificate will do."""
        sides = ("--src-tls-verify=false", "--dest-tls-verify=false")
        flags = sides if command == "copy" else ("--tls-verify=false",)
        whole = ("skopeo", "--insecure-policy", command, *flags, *args)
        return self.swarm.exec(self._entries[domain], *whole, timeout=120).stdout

    def auto_labels(self, folder: Path, constraint: str) -> None:
        """Run docker-auto-labels of PyPI on a stack file with one constraint."""
        stack = folder / "docker-stack.yml"
        stack.write_text(
            f"version: '3'\nservices:\n  registry:\n    image: {REGISTRY_IMAGE}\n"
            f"    deploy:\n      placement:\n        constraints:\n          - {constraint}\n"
        )
        done = subprocess.run(
            [ROOT / ".venv/bin/docker-auto-labels", stack],
            env={**os.environ, "DOCKER_HOST": self.any_node().host},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            raise UserError(done.stderr)
