"""A program's one run beside a registry: its task, and how its log and its end are read."""

from __future__ import annotations

from typing import Any

import pytest

from components.distribution.config import CA_FILE, CONFIG_PATH
from components.swarm.task_log import TaskLog
from ops.bootstrap.console import UserError
from ops.job import Job, remove_ended, run_job, running, task_template

from .shared_job import IMAGE, REGISTRY, A, B, Swarm, secret, service, stack_on, status


def test_a_jobs_task_has_what_the_registry_has_of_its_storage() -> None:
    mount = {"Type": "bind", "Source": "/backup", "Target": "/backup"}
    backup = Job(name="backup", title="the backup", command=["/bin/x", "run"], mounts=[mount])
    task = task_template(REGISTRY, IMAGE, backup, [], [secret("/run/secrets/key")])
    container = task["ContainerSpec"]
    assert (container["Image"], container["Command"]) == (IMAGE, ["/bin/x", "run"])
    assert [each["Target"] for each in container["Mounts"]] == ["/var/lib/registry", "/backup"]
    # Logins are none of its business.
    files = [each["File"]["Name"] for each in container["Secrets"]]
    assert files == [CONFIG_PATH, CA_FILE, "/run/secrets/key"]
    # An alias of the registry's would make clients find the job in its place.
    assert task["Networks"] == [{"Target": "public-id"}, {"Target": "redis-id"}]
    assert task["Placement"] == {"Constraints": ["node.labels.images == true"]}
    assert task["RestartPolicy"] == {"Condition": "none"}
    assert container["User"] == "0:0"
    assert container["StopGracePeriod"] >= 30 * 10**9
    assert task["LogDriver"] == REGISTRY["TaskTemplate"]["LogDriver"]


def test_a_job_may_run_elsewhere_than_the_registry() -> None:
    move = Job(name="move", title="the move", command=["x"], constraints=["node.id == n"])
    placement = task_template(REGISTRY, IMAGE, move, [], [])["Placement"]
    assert placement == {"Constraints": ["node.id == n"]}


COLLECT = Job(name="gc", title="the garbage collection", command=["x"], files={"/f": "text"})


def test_a_job_is_followed_to_its_end_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    swarm = Swarm(status("preparing"), status("running", 0), status("complete", 0), log="done")
    assert run_job(stack_on(swarm, monkeypatch), COLLECT, shown.append) == 0
    assert shown == ["done"]
    assert list(swarm.services_there) == ["registry-id"]
    assert swarm.configs_there == {}
    assert swarm.created["name"] == "images_job-gc"
    assert swarm.created["mode"] == {"Replicated": {"Replicas": 1}}
    (config,) = swarm.created["template"]["ContainerSpec"]["Configs"]
    assert (config["File"]["Name"], config["ConfigName"]) == ("/f", "images_job-gc-1")
    assert swarm.logins == ["me@ghcr.io"]


# Images of services by name, the one last updated at the end, and the image that a job is of.
@pytest.mark.parametrize(
    ("deployed", "expected"),
    [
        ({"gc": f"{IMAGE}@{A}"}, f"{IMAGE}@{A}"),
        ({"backup": f"{IMAGE}@{A}"}, f"{IMAGE}@{A}"),
        ({"token": f"{IMAGE}@{B}", "backup": f"{IMAGE}@{A}"}, f"{IMAGE}@{A}"),
        ({"gc": f"{IMAGE}@{A}", "job-move": f"{IMAGE}@{B}"}, f"{IMAGE}@{A}"),
        ({"gc": f"{IMAGE}1@{A}", "token": IMAGE}, IMAGE),
    ],
)
def test_it_runs_the_image_that_is_deployed_by_its_digest(
    monkeypatch: pytest.MonkeyPatch, deployed: dict[str, str], expected: str
) -> None:
    swarm = Swarm(status("complete", 0))
    for number, (name, image) in enumerate(deployed.items(), 1):
        spec = {"Name": f"images_{name}", "TaskTemplate": {"ContainerSpec": {"Image": image}}}
        swarm.services_there[name] = service(name, spec, f"2026-01-0{number}T00")
    run_job(stack_on(swarm, monkeypatch), COLLECT, print)
    assert swarm.created["template"]["ContainerSpec"]["Image"] == expected


def test_a_job_that_fails_gives_its_exit_code_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swarm = Swarm(status("failed", 3, "task: non-zero exit (3)"))
    assert run_job(stack_on(swarm, monkeypatch), COLLECT, print) == 3
    assert list(swarm.services_there) == ["registry-id"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (status("failed", 137, "task: non-zero exit (137)"), "on node dog, its process was killed"),
        (status("rejected", error="No such image: tools:1"), "registry:toolsImage IMAGE:TAG"),
        (status("pending", error="no suitable node"), "Swarm finds no node for it"),
    ],
)
def test_a_job_that_cannot_run_is_one_error_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Any], expected: str
) -> None:
    swarm = Swarm(state)
    with pytest.raises(UserError, match="the garbage collection doesn't run") as refused:
        run_job(stack_on(swarm, monkeypatch), COLLECT, print)
    assert expected in str(refused.value)
    assert list(swarm.services_there) == ["registry-id"]
    assert swarm.configs_there == {}


def test_an_interrupted_job_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = Swarm(status("running"))
    swarm.interrupts = True
    with pytest.raises(KeyboardInterrupt):
        run_job(stack_on(swarm, monkeypatch), COLLECT, print)
    assert list(swarm.services_there) == ["registry-id"]


def test_a_job_may_run_beside_others_for_as_long_as_they_need_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swarm = Swarm(status("running"))
    gate = Job(name="gate", title="the gate", command=["x"], labels={"traefik.enable": "true"})
    with running(stack_on(swarm, monkeypatch), gate):
        assert swarm.created["name"] == "images_job-gate"
        assert swarm.created["labels"]["traefik.enable"] == "true"
        assert "job-id" in swarm.services_there
    assert list(swarm.services_there) == ["registry-id"]


def test_of_two_runs_the_second_says_that_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = Swarm(status("running", 0))
    begun = {"ID": "old", "CreatedAt": "2026-01-02T03:04:05.6Z", "Spec": {"Name": "images_job-gc"}}
    swarm.services_there["old"] = begun
    with pytest.raises(UserError, match=r"runs already, since 2026-01-02T03:04:05") as refused:
        run_job(stack_on(swarm, monkeypatch), COLLECT, print)
    assert "docker service rm images_job-gc" in str(refused.value)
    assert "old" in swarm.services_there


def test_what_a_killed_run_has_left_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = Swarm(status("complete", 0))
    swarm.services_there["old"] = {"ID": "old", "Spec": {"Name": "images_job-gc"}}
    swarm.configs_there["images_job-gc-1"] = "of before"
    assert run_job(stack_on(swarm, monkeypatch), COLLECT, print) == 0
    assert list(swarm.services_there) == ["registry-id"]
    assert swarm.configs_there == {}


@pytest.mark.parametrize(("state", "is_left"), [("running", True), ("complete", False)])
def test_of_jobs_whose_command_was_killed_those_at_work_stay(state: str, is_left: bool) -> None:
    swarm = Swarm(status(state, 0))
    swarm.services_there["old"] = {"ID": "old", "Spec": {"Name": "images_job-gc"}}
    client: Any = swarm
    remove_ended(client, ["old"])
    assert ("old" in swarm.services_there) == is_left


def test_another_swarm_with_the_same_names_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = Swarm(status("complete", 0))
    stack = stack_on(swarm, monkeypatch)
    swarm.cluster = "swarm-of-another"
    with pytest.raises(UserError, match="is deployed to swarm swarm-of-the-stack, and the engine"):
        run_job(stack, COLLECT, print)
    assert swarm.created == {}


def test_without_a_registry_there_is_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = Swarm(status("complete", 0))
    swarm.services_there.clear()
    with pytest.raises(UserError, match="make deploy STACK=prod"):
        run_job(stack_on(swarm, monkeypatch), COLLECT, print)


def test_an_image_that_other_nodes_could_not_get_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swarm = Swarm(status("complete", 0))
    monkeypatch.setattr(swarm, "nodes", lambda: [{}, {}])
    prod = stack_on(swarm, monkeypatch)
    prod.settings.tools_image = None
    with pytest.raises(UserError, match="pulumi config set --stack prod registry:toolsImage"):
        run_job(prod, COLLECT, print)


def test_each_line_of_a_log_comes_once() -> None:
    swarm = Swarm(log="one")
    log = TaskLog(swarm)
    assert [*log.lines("task"), *log.lines("task")] == ["one"]
