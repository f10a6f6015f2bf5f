"""`make move`: which ways it takes, in which order, and what stays when it fails."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from components.run.takeover import Move, variables
from ops import inventory
from ops.bootstrap.console import UserError
from ops.move import copying, nodes

from .shared_move import ROUTE, Copying
from .shared_settings import MIRROR, settings

LABEL = "images.registry-data"


LEFT = f"{LABEL}-left"


def node(name: str, **labels: str) -> dict[str, Any]:
    return {
        "ID": f"{name}-id",
        "Version": {"Index": 1},
        "Description": {"Hostname": name},
        "Status": {"State": "down" if name == "bee" else "ready"},
        "Spec": {"Availability": "active", "Role": "worker", "Labels": labels},
    }


class DeployedStack(Copying):
    """A stack with its images on dog, whose steps are noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch, free=2**30)
        self.error: BaseException = UserError("no")
        self.nodes = [node("dog", **{LABEL: "true"}), node("cat"), node("bee")]
        self.constraints = [f"node.labels.{LABEL} == true", "node.hostname != ant"]
        self.stack: Any = SimpleNamespace(
            name="prod",
            file=SimpleNamespace(name="Pulumi.prod.yaml"),
            endpoint=None,
            config=SimpleNamespace(swarm_stack="images"),
            settings=SimpleNamespace(routes=SimpleNamespace(registry=ROUTE)),
            refresh=lambda: None,
            deploy_again=self.deploy,
        )
        client = SimpleNamespace(
            nodes=lambda: self.nodes, services=self.services, update_node=self.update_node
        )
        monkeypatch.setattr(inventory, "connected", lambda *_: contextlib.nullcontext(client))
        monkeypatch.setattr(nodes, "run", lambda command: self.steps.append(" ".join(command[2:])))

    def services(self, filters: dict[str, str]) -> list[Any]:
        if filters["name"] != "images_registry":
            return []
        task = {
            "Placement": {"Constraints": self.constraints},
            "ContainerSpec": {"Mounts": [{"Type": "volume", "Source": "images_registry-data"}]},
        }
        labels = ROUTE.labels(5000)
        return [{"Spec": {"Name": "images_registry", "TaskTemplate": task, "Labels": labels}}]

    def update_node(self, id_: str, _: int, spec: dict[str, Any]) -> None:
        changed = next(each for each in self.nodes if each["ID"] == id_)
        is_noted = LEFT in spec["Labels"]
        assert is_noted != (LEFT in changed["Spec"]["Labels"]), "nothing else changes"
        self.steps.append(f"note {id_}" if is_noted else "note gone")
        changed["Spec"] = spec

    def deploy(self, move: Move | None = None) -> None:
        self.steps.append("deploy")
        self.moves.append(move)
        if self.fails == "deploy":
            raise self.error
        for each in self.nodes:
            each["Spec"]["Labels"].pop(LABEL, None)
        self.nodes[1]["Spec"]["Labels"][LABEL] = "true"
        if self.fails == "after deploy":
            raise self.error


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> DeployedStack:
    return DeployedStack(monkeypatch)


SET = "set --stack prod registry:volumeNode cat"
HANDOVER = ["note dog-id", "deploy", SET, "end", "note gone"]
"""Steps of the move of the registry, by the consent of one deployment."""


def test_the_images_are_copied_before_anything_waits(
    site: DeployedStack, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes.move(site.stack, "cat")
    first = ["move-source", "look", "copy", "move-source ends"]
    assert site.steps == [*first, "move-gate", "rest", *HANDOVER, "move-gate ends"]
    assert site.moves == [Move(moved_from="dog-id", node="cat-id")]
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


def test_the_gate_leads_to_the_registry_and_to_the_token_server(site: DeployedStack) -> None:
    nodes.move(site.stack, "cat")
    command = site.jobs["move-gate"].command
    gates = [text for flag, text in pairwise(command) if flag == "--gate"]
    assert gates == [":5001=http://images_registry:5000", ":5003=http://images_token:5001"]


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


@pytest.mark.parametrize("error", [UserError("no"), KeyboardInterrupt()])
def test_a_deployment_that_never_moved_the_label_leaves_nothing(
    site: DeployedStack, error: BaseException
) -> None:
    site.fails, site.error = "deploy", error
    with pytest.raises(type(error)):
        nodes.move(site.stack, "cat")
    assert site.steps[-4:] == ["note dog-id", "deploy", "note gone", "move-gate ends"]
    assert not any("registry:" in each for each in site.steps)


@pytest.mark.parametrize("step", ["after deploy", "end"])
def test_what_fails_after_the_label_moved_says_how_it_goes_on(
    site: DeployedStack, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.fails = step
    with pytest.raises(UserError):
        nodes.move(site.stack, "cat")
    assert "to end the move: make move NODE=cat STACK=prod" in capsys.readouterr().err
    assert site.steps[-1] == "move-gate ends"
    site.fails = ""
    site.steps.clear()
    nodes.move(site.stack, "cat")
    assert site.steps == ["move-gate", *HANDOVER[1:], "move-gate ends"]
    assert site.jobs["move-gate"].labels == {"traefik.enable": "false"}
    assert site.jobs["move-gate"].constraints == ["node.id == dog-id"]


class Killed(BaseException):
    """The end of a process at which it does nothing any more."""


@pytest.mark.parametrize("step", ["deploy", "after deploy"])
def test_a_command_that_was_killed_leaves_no_consent(site: DeployedStack, step: str) -> None:
    site.fails, site.error = step, Killed()
    with pytest.raises(Killed):
        nodes.move(site.stack, "cat")
    assert not any("registry:" in each for each in site.steps), "the settings are as they were"
    site.fails = ""
    site.steps.clear()
    nodes.move(site.stack, "cat")
    # The note is there already, on whatever machine the command goes on.
    assert site.steps[-5:] == [*HANDOVER[1:], "move-gate ends"]
    assert ("copy" in site.steps) == (step == "deploy")


def test_the_consent_is_that_of_one_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables({}, move=Move(moved_from="dog-id", node="cat-id")).items():
        monkeypatch.setenv(name, value)
    volumes = settings(volumeNode="dog", mirrors={"hub": MIRROR}).volumes
    assert (volumes.images.node, volumes.images.moved_from) == ("cat-id", "dog-id")
    assert (volumes.mirrors.node, volumes.mirrors.moved_from) == (None, None)
    for name, value in variables({}, move=Move(moved_from="bucket")).items():
        monkeypatch.setenv(name, value)
    images = settings(volumeNode="dog").volumes.images
    assert (images.node, images.moved_from) == ("dog", "bucket")
    for name, value in variables({}).items():
        monkeypatch.setenv(name, value)
    assert settings(volumeNode="dog").volumes.images.moved_from is None


def test_a_move_that_was_cut_off_is_ended_before_another_begins(site: DeployedStack) -> None:
    site.nodes = [node("dog", **{LEFT: "true"}), node("cat", **{LABEL: "true"}), node("cow")]
    for other in ("dog", "cow"):
        with pytest.raises(UserError, match=r"was cut off.*\n.*make move NODE=cat STACK=prod"):
            nodes.move(site.stack, other)
    assert site.steps == []


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
