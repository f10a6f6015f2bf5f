"""`make status` on disks: what `df` says beside a task, and what is made of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from ops.status import measure
from ops.status.disk import Disk, Earlier, Memory, disk_line, disk_lines, parsed
from ops.status.measure import MeasureError, output_beside

from .shared_status import DATA, NOW, Client, inputs, node, service, stack, swarm, task

GIB = 2**30
DF = f"""Filesystem           1024-blocks    Used Available Capacity Mounted on
/dev/vda              104857600  41943040  62914560  40% {DATA}
"""


pytestmark = pytest.mark.usefixtures("home")


def test_a_full_disk_has_the_command_that_makes_room() -> None:
    full = DF.replace("62914560", "1024")
    lines = disk_lines(
        stack(inputs(), inputs("images_mirror-hub")),
        swarm(service(), service("images_mirror-hub"), client=Client(output=full)),
    )
    on_node = "docker system df -v  # on that node"
    assert {line.title: line.commands for line in lines} == {
        "disk": ("make gc STACK=prod", on_node),
        "disk mirror-hub": (on_node,),
    }


def test_the_disk_is_asked_inside_a_task_on_the_engines_own_node() -> None:
    client = Client(output=DF)
    (line,) = disk_lines(stack(), swarm(client=client))
    assert (line.title, line.state) == ("disk", "ok")
    assert line.text == "dog: 60 GiB of 100 GiB free (60%)"
    assert line.facts == {"node": "dog", "total": 100 * GIB, "free": 60 * GIB}
    assert client.done == [f"exec container-1 df -P -k {DATA}"]
    assert client.made == []


def test_elsewhere_a_task_beside_the_registrys_asks_and_is_removed() -> None:
    ended = task("complete", seconds=1)
    client = Client(output=DF, new_tasks=[ended], left=[service("images_left")])
    (line,) = disk_lines(stack(), swarm(client=client, node_id="m", nodes=[node(), node("m", "m")]))
    assert line.text == "dog: 60 GiB of 100 GiB free (60%)"
    (made,) = client.made
    container = made["template"]["ContainerSpec"]
    assert container["Command"] == ["df", "-P", "-k", DATA]
    assert [mount["ReadOnly"] for mount in container["Mounts"]] == [True]
    assert made["template"]["Placement"] == {"Constraints": ["node.id == n"]}
    assert "com.docker.stack.namespace" not in made["labels"]
    # Of an earlier run, which was killed, first.
    assert client.done[0] == "remove images_left-id"
    assert client.done[-1] == "remove made-1"


@pytest.mark.parametrize(
    ("new_task", "reason"),
    [
        ([task("failed", "task: non-zero exit (1)")], "on that node: df: not there"),
        ([task("pending", "no suitable node")], "no task on that node gave an answer: no suitable"),
        ([], "Swarm starts none"),
    ],
)
def test_a_task_that_gives_no_answer_is_removed(
    new_task: list[dict[str, Any]], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "LIMIT_SECONDS", 0)
    client = Client(output="df: not there", new_tasks=new_task)
    with pytest.raises(MeasureError, match=reason):
        output_beside(swarm(client=client, node_id="m"), "images_registry", task(), ["df"])
    assert client.done[-1] == "remove made-1"


def test_a_disk_that_cant_be_asked_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Client(output="df: not there", code=127)
    (line,) = disk_lines(stack(), swarm(client=failing))
    assert (line.state, line.text) == ("unknown", f"`df -P -k {DATA}` in the task: df: not there")
    (line,) = disk_lines(stack(), swarm(tasks=[]))
    assert line.state == "unknown"
    (line,) = disk_lines(stack(), swarm(client=Client(output="none")))
    assert "printed no sizes: 'none'" in line.text

    def refuse(*_: object, **__: object) -> None:
        raise docker.errors.APIError("refused", explanation="container is restarting")

    monkeypatch.setattr(Client, "exec_create", refuse)
    (line,) = disk_lines(stack(), swarm())
    assert line.text == "the task can't be asked: container is restarting"


def test_mirrors_have_disks_and_buckets_have_none() -> None:
    bucket = copy.deepcopy(inputs())
    bucket["taskSpec"]["containerSpec"]["mounts"] = []
    mirror, collector = inputs("images_mirror-hub"), inputs("images_gc")
    noted = {"kind": "object store", "bucket": "b", "driver": "s3"}
    location = {
        "type": "pulumi:index:Stash",
        "urn": "::registry-data-place",
        "inputs": {"input": noted},
    }
    there = swarm(service("images_mirror-hub"), client=Client(output=DF))
    lines = disk_lines(stack(bucket, mirror, collector, resources=[location]), there)
    assert [(line.title, line.state) for line in lines] == [
        ("disk mirror-hub", "ok"),
        ("disk", "off"),
    ]
    assert lines[1].text == "none: the images are in bucket b (s3)"


def test_a_long_name_of_a_device_has_a_line_of_its_own() -> None:
    text = f"Filesystem 1024-blocks\n/dev/mapper/a-long-name\n   100 40 60 40% {DATA}\n"
    assert parsed(text) == Disk(total=102400, used=40960, free=61440)


def line_of(free_gib: float, total_gib: float = 100, **earlier: float) -> tuple[str, str]:
    """Return state and text for a disk, of which so many GiB less were used some time before."""
    growth = earlier.pop("growth_gib", None)
    now = Disk(
        total=int(total_gib * GIB), used=int((total_gib - free_gib) * GIB), free=int(free_gib * GIB)
    )
    before = (
        None
        if growth is None
        else Earlier(at=NOW - timedelta(**earlier), used=int(now.used - growth * GIB))
    )
    line = disk_line("disk", "dog", now, before, NOW)
    assert bool(line.commands) == (line.state != "ok")
    return line.state, line.text


def test_a_disk_that_is_nearly_full_is_a_warning_and_a_full_one_is_wrong() -> None:
    assert line_of(11)[0] == "ok"
    assert line_of(9) == ("warning", "dog: 9.0 GiB of 100 GiB free (9%)")
    assert line_of(0.9) == ("wrong", "dog: 922 MiB of 100 GiB free (1%)")
    # A small one that is empty is small all the same: preview warns then, too.
    assert line_of(0.5, 0.5)[0] == "wrong"


def test_a_disk_that_will_soon_be_full_is_a_warning() -> None:
    text = "dog: 50 GiB of 100 GiB free (50%), 20 GiB more used than 2 days ago"
    assert line_of(50, growth_gib=20, days=2) == (
        "warning",
        f"{text}: full in 5 days at this pace",
    )
    assert line_of(50, growth_gib=1, days=2)[0] == "ok"
    assert line_of(50, growth_gib=-20, days=2) == ("ok", text.replace("more", "less"))
    # Of minutes nothing can be concluded.
    assert line_of(50, growth_gib=20, minutes=2)[0] == "ok"


def test_an_earlier_look_is_kept_for_a_day() -> None:
    memory = Memory("prod", "images_registry")
    assert memory.read() is None
    memory.keep(1, NOW)
    memory.keep(2, NOW + timedelta(hours=23))
    assert memory.read() == Earlier(at=NOW, used=1)
    memory.keep(3, NOW + timedelta(hours=25))
    assert memory.read() == Earlier(at=NOW + timedelta(hours=25), used=3)
    # The clock was wrong then.
    memory.keep(4, NOW)
    assert memory.read() == Earlier(at=NOW, used=4)
    other = Memory("prod", "images_mirror-hub")
    other.keep(5, NOW)
    assert memory.read() == Earlier(at=NOW, used=4)


def test_what_another_version_has_noted_counts_as_nothing(home: Path) -> None:
    file = home / "state/status/prod.json"
    file.parent.mkdir(parents=True)
    memory = Memory("prod", "images_registry")
    for text in ("", "[]", '{"images_registry": 1}', '{"images_registry": {"at": "x"}}'):
        file.write_text(text)
        assert memory.read() is None


def test_growth_is_shown_from_the_second_look_on() -> None:
    client = Client(output=DF)
    first = swarm(client=client)
    disk_lines(stack(), first)
    client.output = DF.replace("41943040", "42045440")
    (line,) = disk_lines(stack(), replace(first, now=NOW + timedelta(hours=3)))
    assert line.text.endswith(", 100 MiB more used than 3 h ago")
    assert line.facts["growth"] == 100 * 2**20
