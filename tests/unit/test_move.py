"""`make move`: which ways it takes, in which order, and what stays when it fails."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from components.traefik.route import Https, Route
from ops import inventory
from ops.bootstrap.console import UserError
from ops.job import Job
from ops.move import copying, gate, nodes

ROUTE = Route(
    domain="images.example.com",
    tag="images-registry",
    network="public",
    constraint_label="traefik.constraint-label",
    constraint_value="public",
    https=Https(),
    users={"admin": "$2y$05$hash"},
)
LABEL = "images.registry-data"


def node(name: str, **labels: str) -> dict[str, Any]:
    return {
        "ID": f"{name}-id",
        "Description": {"Hostname": name},
        "Status": {"State": "down" if name == "bee" else "ready"},
        "Spec": {"Availability": "active", "Role": "worker", "Labels": labels},
    }


class DeployedStack:
    """A stack with its images on dog, whose steps are noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self.jobs: dict[str, Job] = {}
        self.fails = ""
        self.counts = {"bytes": 5 * 2**30, "size": 2**20, "removed": 0, "free": 2**30}
        self.nodes = [node("dog", **{LABEL: "true"}), node("cat"), node("bee")]
        self.constraints = [f"node.labels.{LABEL} == true", "node.hostname != ant"]
        images = SimpleNamespace(node=None, moved_from=None)
        self.stack: Any = SimpleNamespace(
            name="prod",
            file=SimpleNamespace(name="Pulumi.prod.yaml"),
            endpoint=None,
            config=SimpleNamespace(swarm_stack="images"),
            settings=SimpleNamespace(volumes=SimpleNamespace(images=images)),
            refresh=lambda: None,
            deploy_again=self.deploy,
        )
        client = SimpleNamespace(nodes=lambda: self.nodes, services=self.services)
        monkeypatch.setattr(inventory, "connected", lambda *_: contextlib.nullcontext(client))
        monkeypatch.setattr(copying, "running", self.running)
        monkeypatch.setattr(copying, "run_job", self.run_job)
        monkeypatch.setattr(nodes, "run", lambda command: self.steps.append(" ".join(command[2:])))
        monkeypatch.setenv("YES", "1")

    def services(self, _: object) -> list[Any]:
        task = {
            "Placement": {"Constraints": self.constraints},
            "ContainerSpec": {"Mounts": [{"Type": "volume", "Source": "images_registry-data"}]},
        }
        labels = ROUTE.labels(5000)
        return [{"Spec": {"Name": "images_registry", "TaskTemplate": task, "Labels": labels}}]

    def deploy(self) -> None:
        self.steps.append("deploy")
        if self.fails == "deploy":
            raise UserError("no")
        self.nodes = [node("dog"), node("cat", **{LABEL: "true"}), node("bee")]

    @contextlib.contextmanager
    def running(self, _: object, job: Job) -> Iterator[None]:
        self.jobs[job.name] = job
        self.steps.append(job.name)
        try:
            yield
        finally:
            self.steps.append(f"{job.name} ends")

    def run_job(self, _: object, job: Job, show: Callable[[str], None]) -> int:
        step = job.command[1]
        self.jobs[step] = job
        self.steps.append(step)
        if step == self.fails:
            show(json.dumps({"level": "ERROR", "msg": "no space left"}))
            return 1
        pause = {"seconds": 12.3, "expired": False}
        show(json.dumps({"msg": "done", "counts": self.counts, "pause": pause}))
        return 0


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> DeployedStack:
    return DeployedStack(monkeypatch)


SET = [
    "set --stack prod registry:volumeMovedFrom dog-id",
    "set --stack prod registry:volumeNode cat",
]
FORGET = "rm --stack prod registry:volumeMovedFrom"


def test_the_images_are_copied_before_anything_waits(
    site: DeployedStack, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes.move(site.stack, "cat")
    first = ["move-source", "look", "copy", "move-source ends"]
    then = ["move-gate", "rest", *SET, "deploy", "end", FORGET, "move-gate ends"]
    assert site.steps == [*first, *then]
    shown = capsys.readouterr().err
    assert "pushes waited for 12 s" in shown
    assert "docker volume rm images_registry-data" in shown
    assert "stays on dog" in shown


def test_each_side_runs_on_its_node_and_both_have_the_token(site: DeployedStack) -> None:
    nodes.move(site.stack, "cat-id")
    for name, node_id in (("move-source", "dog"), ("move-gate", "dog"), ("copy", "cat")):
        assert site.jobs[name].constraints == [f"node.id == {node_id}-id"]
    tokens = [site.jobs[name].secrets[copying.TOKEN_FILE] for name in ("move-gate", "rest", "end")]
    assert len(set(tokens)) == 1
    assert all(tokens[0] not in " ".join(job.command) for job in site.jobs.values())
    assert site.jobs["copy"].secrets != site.jobs["rest"].secrets
    # Until the rest is copied, Traefik has no part in it.
    assert site.jobs["move-source"].labels == {"traefik.enable": "false"}


def test_traefik_leads_requests_to_the_gate_by_the_same_routers() -> None:
    labels = ROUTE.labels(5000)
    moved = gate.gate_labels(labels)
    name = "images-registry"
    https = f"traefik.http.routers.{name}-https"
    assert moved[f"{https}-move.service"] == f"{name}-move"
    assert moved[f"{https}-move.middlewares"] == labels[f"{https}.middlewares"]
    assert moved[f"{https}-move.tls.certresolver"] == labels[f"{https}.tls.certresolver"]
    assert moved[f"{https}-move.rule"] == "(Host(`images.example.com`)) && PathPrefix(`/v2/`)"
    assert moved[f"traefik.http.services.{name}-move.loadbalancer.server.port"] == "5001"
    assert moved["traefik.enable"] == "true"
    assert moved["traefik.swarm.network"] == "public"
    assert moved["traefik.constraint-label"] == "public"
    # Traefik forgets those of the registry while none of its tasks runs.
    middlewares = {key for key in labels if key.startswith("traefik.http.middlewares.")}
    assert middlewares
    assert all(moved[key] == labels[key] for key in middlewares)
    assert f"{https}.rule" not in moved


def test_without_traefik_nothing_is_moved() -> None:
    with pytest.raises(UserError, match="nothing can make pushes wait"):
        gate.gate_labels({"traefik.enable": "false"})


@pytest.mark.parametrize("step", ["look", "copy", "rest"])
def test_a_step_that_fails_before_the_deployment_changes_nothing(
    site: DeployedStack, step: str
) -> None:
    site.fails = step
    with pytest.raises(UserError, match="the move stopped: no space left"):
        nodes.move(site.stack, "cat")
    assert "deploy" not in site.steps
    assert not any("registry:" in each for each in site.steps)
    assert site.steps[-1].endswith("ends")


def test_too_little_space_is_seen_before_anything_is_copied(site: DeployedStack) -> None:
    site.counts["size"] = 3 * 2**30
    with pytest.raises(UserError, match=r"3\.0 GiB are to be copied, and cat has 1\.0 GiB free"):
        nodes.move(site.stack, "cat")
    assert site.steps == ["move-source", "look", "move-source ends"]


def test_a_deployment_that_never_moved_the_label_leaves_the_settings_as_they_were(
    site: DeployedStack,
) -> None:
    site.fails = "deploy"
    with pytest.raises(UserError):
        nodes.move(site.stack, "cat")
    back = [FORGET, "rm --stack prod registry:volumeNode", "move-gate ends"]
    assert site.steps[-3:] == back


def test_an_end_that_fails_says_how_it_goes_on(
    site: DeployedStack, capsys: pytest.CaptureFixture[str]
) -> None:
    site.fails = "end"
    with pytest.raises(UserError, match="no space left"):
        nodes.move(site.stack, "cat")
    assert "to end the move: make move NODE=cat STACK=prod" in capsys.readouterr().err
    assert site.steps[-2:] == ["end", "move-gate ends"]


def test_a_move_that_was_interrupted_after_the_label_moved_is_ended(site: DeployedStack) -> None:
    site.nodes = [node("dog"), node("cat", **{LABEL: "true"})]
    site.stack.settings.volumes.images.moved_from = "dog-id"
    nodes.move(site.stack, "cat")
    assert site.steps == ["move-gate", *SET, "deploy", "end", FORGET, "move-gate ends"]
    assert site.jobs["move-gate"].labels == {"traefik.enable": "false"}
    assert site.jobs["move-gate"].constraints == ["node.id == dog-id"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("dog", "the images are on dog already"),
        ("ant", "there is no such node"),
        ("bee", "Swarm would start no registry there: it is down"),
    ],
)
def test_a_node_that_will_not_do_is_refused(
    site: DeployedStack, wanted: str, expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        nodes.move(site.stack, wanted)
    assert site.steps == []


def test_the_registrys_own_constraints_count(site: DeployedStack) -> None:
    site.constraints.append("node.hostname == dog")
    with pytest.raises(UserError, match=r"it isn't node\.hostname == dog"):
        nodes.move(site.stack, "cat")


def test_images_that_every_node_sees_do_not_move_between_nodes(site: DeployedStack) -> None:
    site.constraints = []
    with pytest.raises(UserError, match="aren't in a volume of one node"):
        nodes.move(site.stack, "cat")
