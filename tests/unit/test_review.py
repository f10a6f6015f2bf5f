"""Reports for reviewers: the events of a preview, in the terms of Swarm and without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.bootstrap.console import UserError
from ops.review.changes import changes
from ops.review.differences import SECRET, SIGNATURE, flat
from ops.review.preview import Preview, parse_events
from ops.review.report import (
    deployment_report,
    drift_report,
    gap_warnings,
    gaps_reported,
    markdown,
)
from ops.review.step import DELETE_REPLACED, code, kind

from .test_ops import command

SERVICE = "docker:index/service:Service"
HIDDEN = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "AAABhidden"}


def step(
    op: str,
    type_: str,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a step whose outputs are its inputs."""
    urn = f"urn:pulumi:stag::registry::{type_}::it"
    states = {
        name: inputs and {"custom": True, "inputs": inputs, "outputs": inputs, **more}
        for name, inputs in (("old", old), ("new", new))
    }
    return {"op": op, "urn": urn, "type": type_, "detailedDiff": None, **states, **more}


def stream(*steps: dict[str, Any], **others: dict[str, Any]) -> str:
    """Return the events that a preview prints."""
    events: list[dict[str, Any]] = [{"resourcePreEvent": {"metadata": each}} for each in steps]
    return "\n".join(map(json.dumps, [*events, *({name: other} for name, other in others.items())]))


def diagnostic(severity: str, message: str) -> dict[str, Any]:
    return {"severity": severity, "message": message, "prefix": f"{severity}: "}


def labels(**values: str) -> list[dict[str, str]]:
    return [{"label": key, "value": values[key]} for key in sorted(values)]


def test_labels_are_compared_by_key_wherever_they_stand() -> None:
    old = {"name": "web", "labels": labels(b="1", c="2")}
    new = {"name": "web", "labels": labels(a="0", b="1", c="3")}
    assert changes(step("update", SERVICE, old, new)) == [
        "label `a`: + `0`",
        "label `c`: `2` → `3`",
        "its task runs on",
    ]


def test_stored_digests_have_no_row() -> None:
    stash, images = "pulumi:index:Stash", {"input": {"registry": "registry:3@sha256:a"}}
    urn = f"urn:pulumi:stag::registry::{stash}::service-images"
    assert kind(step("create", stash, None, images, urn=urn)) == ""
    stash_of_images = {"input": {"label": "stag.registry-data"}}
    assert kind(step("create", stash, None, stash_of_images)) == "storage"


def test_the_order_of_old_and_new_task_is_shown() -> None:
    def service(memory: int, order: str) -> dict[str, Any]:
        limits = {"limits": {"memoryBytes": memory << 20}}
        return {"taskSpec": {"resources": limits}, "updateConfig": {"order": order}}

    old = service(256, "stop-first")
    assert changes(step("update", SERVICE, old, service(512, "stop-first"))) == [
        "memory: 256 MiB → 512 MiB",
        "**the old task stops before the new one starts**",
    ]
    old = service(256, "start-first")
    assert changes(step("update", SERVICE, old, service(512, "start-first")))[1:] == [
        "a new task takes over from the old one"
    ]


def test_an_update_that_is_tried_again_has_its_line() -> None:
    old = {"taskSpec": {"containerSpec": {"image": "web:2"}}}
    new = {"taskSpec": old["taskSpec"] | {"forceUpdate": 42}}
    assert changes(step("update", SERVICE, old, new))[0] == (
        "the update that Swarm has undone is tried again"
    )


def test_a_value_that_was_never_set_is_no_change() -> None:
    task = {"containerSpec": {"image": "web:1"}}
    change = step("update", SERVICE, {"taskSpec": task}, {"taskSpec": task})
    change["old"]["outputs"] = {"taskSpec": {"containerSpec": {"image": "web:2", "sysctl": {}}}}
    change["detailedDiff"] = {
        "taskSpec.containerSpec.image": {},
        "taskSpec.containerSpec.sysctl": {},
    }
    assert changes(change)[0] == "image: `web:2` → `web:1`"
    assert len(changes(change)) == 2


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ({"containerSpec": {"env": {"KEY": "hidden"}}}, "variable `KEY` added (not shown)"),
        ({"containerSpec": {"hostname": HIDDEN}}, f"hostname: + {SECRET}"),
        ({"containerSpec": {"hostname": SECRET}}, f"hostname: + {SECRET}"),
    ],
)
def test_values_that_are_or_may_be_secret_are_not_shown(where: dict[str, Any], line: str) -> None:
    lines = changes(step("update", SERVICE, {"name": "web"}, {"name": "web", "taskSpec": where}))
    assert lines[0] == line
    assert "hidden" not in str(lines)


def test_a_hash_in_a_label_is_not_shown_neither_the_old_one_nor_the_new() -> None:
    label = "traefik.http.middlewares.r-auth.basicauth.users"
    old, new = (
        {"labels": [{"label": label, "value": f"admin:$apr1$abcdefgh${part * 22}"}]}
        for part in ("A", "B")
    )
    for before, after in ((old, new), (old, {}), ({}, new)):
        lines = changes(step("update", SERVICE, {"name": "web"} | before, {"name": "web"} | after))
        assert "(not shown)" in lines[0]
        assert "$apr1" not in str(lines)
    plain = {"labels": [{"label": "traefik.http.routers.r.rule", "value": "Host(`a`)"}]}
    lines = changes(step("update", SERVICE, {"name": "web"}, {"name": "web"} | plain))
    assert "Host(" in str(lines)


def test_secret_labels_are_shown_as_changed() -> None:
    plain = labels(auth="a:$apr1$x$hidden", rule="Host(`hidden`)")
    # Until it is deployed again, a stack of an earlier version has them in plain text.
    for before in (HIDDEN, plain):
        one = step(
            "update", SERVICE, {"name": "web", "labels": before}, {"name": "web", "labels": HIDDEN}
        )
        one["detailedDiff"] = {"labels[1].value": {"diffType": "UPDATE", "inputDiff": False}}
        assert changes(one) == ["labels changed (not shown)", "its task runs on"]


@pytest.mark.parametrize(
    "type_", ["docker:index/secret:Secret", "random:index/randomPassword:RandomPassword"]
)
def test_nothing_of_a_secret_is_shown_even_if_it_is_not_marked(type_: str) -> None:
    names = ("data", "result", "bcryptHash", "keepers")
    old, new = (dict.fromkeys(names, f"hidden-{when}") for when in ("old", "new"))
    for op in ("create", "update", "replace"):
        report = markdown("stag", parse_events(stream(step(op, type_, old, new))))
        assert "new" in report
        assert "hidden" not in report


def test_the_node_of_the_images_is_shown_and_where_they_would_be_moved() -> None:
    old = {"input": {"label": "web.data", "node": "dog", "nodeId": "1", "volume": "web_data"}}
    new = {"input": {**old["input"], "node": "cat", "nodeId": "2"}}
    move = parse_events(stream(step("update", "pulumi:index:Stash", old, new)))
    dog, cat = (f"`volume web_data on node {name}`" for name in ("dog", "cat"))
    row = f"| change | storage `it` | **moves** from {dog} to {cat} |"
    assert row in markdown("stag", move)


@pytest.mark.parametrize(
    ("retained", "line"),
    [(True, "forgotten; the images stay in it"), (False, "**with all images in it**")],
)
def test_a_deleted_volume_is_shown_with_the_fate_of_its_images(retained: bool, line: str) -> None:
    gone = step("delete", "docker:index/volume:Volume", {"name": "data"}, retainOnDelete=retained)
    assert changes(gone) == [line]


def test_a_report_counts_and_orders_what_a_reviewer_can_see() -> None:
    network, volume = "docker:index/network:Network", "docker:index/volume:Volume"
    report = markdown(
        "stag",
        parse_events(
            stream(
                step("same", network, {"name": "net"}, {"name": "net"}),
                step("create", "docker:index/secret:Secret", None, {"data": HIDDEN}),
                step("update", "pulumi:providers:docker", {"host": "a"}, {"host": "b"}),
                step("refresh", SERVICE, {"name": "web"}, {"name": "web"}),
                step("replace", SERVICE, {"name": "web"}, {"name": "site"}),
                step("create-replacement", SERVICE, {"name": "web"}, {"name": "site"}),
                step("delete-replaced", SERVICE, {"name": "web"}),
                step("delete", volume, {"name": "data"}),
            )
        ),
    )
    head, *rows = [line for line in report.splitlines() if line]
    assert head == "**stag**: 1 to delete, 1 to replace, 1 to create, 1 unchanged"
    assert [row.split()[1] for row in rows[2:]] == ["delete", "replace", "create"]


def replacement(
    type_: str, old: dict[str, Any], new: dict[str, Any], *, deleted_first: bool, **more: Any
) -> Preview:
    """Return a preview in which a resource is replaced."""
    gone = step(DELETE_REPLACED, type_, old, None, **more)
    come = [step(op, type_, old, new, **more) for op in ("replace", "create-replacement")]
    return parse_events(stream(*([gone, *come] if deleted_first else [*reversed(come), gone])))


def test_a_service_that_is_deleted_before_its_new_one_is_made_is_announced() -> None:
    old: dict[str, Any] = {"name": "web", "mode": {"global": False}}
    new: dict[str, Any] = {"name": "web", "mode": {"global": True}}
    old["taskSpec"] = new["taskSpec"] = {"containerSpec": {"stopGracePeriod": "1m20s"}}
    gap = (
        "the service is deleted before the new one is made: it is away for about 10 s, and up to"
        " 1m20s more while its old tasks end; if the new one fails, there is no rollback"
    )
    preview = replacement(SERVICE, old, new, deleted_first=True)
    row = f"| replace | service `web` | **{gap}**<br>global: `false` → `true` |"
    assert row in markdown("stag", preview)
    assert gap_warnings(preview) == [f"warning: service `web`: {gap}"]


def test_what_is_there_before_its_old_one_is_deleted_leaves_no_gap() -> None:
    secret = "docker:index/secret:Secret"
    preview = replacement(secret, {"data": "b2xk"}, {"data": "bmV3"}, deleted_first=False)
    assert "deleted before" not in markdown("stag", preview)
    assert gap_warnings(preview) == []


@pytest.mark.parametrize(
    ("kind", "retained", "line"),
    [
        ("network:Network", False, "and so is each service on it; on another stack's, this fails"),
        ("volume:Volume", False, "the volume is deleted before the new one is made, with all"),
        ("volume:Volume", True, None),
    ],
)
def test_a_replacement_is_shown_with_what_goes_with_it(
    kind: str, retained: bool, line: str | None
) -> None:
    old, new = {"name": "data", "driver": "local"}, {"name": "data", "driver": "nfs"}
    type_ = f"docker:index/{kind}"
    preview = replacement(type_, old, new, deleted_first=True, retainOnDelete=retained)
    report = markdown("stag", preview)
    assert (line or "") in report
    assert ("deleted before" in report) == bool(line)
    assert bool(gap_warnings(preview)) == bool(line)


def test_a_preview_in_the_terminal_ends_with_what_leaves_a_gap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PULUMI_DEBUG_COMMANDS", "false")
    gone = step(DELETE_REPLACED, SERVICE, {"name": "web"}, None)
    come = step("replace", SERVICE, {"name": "web"}, {"name": "web"})
    with gaps_reported() as (flag, file):
        assert flag == "--event-log"
        Path(file).write_text(stream(gone, come))
    assert "warning: service `web`: the service is deleted before" in capsys.readouterr().err


def test_warnings_and_broken_policies_are_listed_and_debugging_is_not() -> None:
    broken = {"policyName": "memory", "message": "Why.\nno limit", "enforcementLevel": "advisory"}
    events = [
        stream(policyEvent=broken),
        stream(diagnosticEvent=diagnostic("warning", "old image")),
        stream(diagnosticEvent=diagnostic("debug", "password = hidden")),
        stream(diagnosticEvent=diagnostic("info#err", "hidden")),
        "downloading …",
    ]
    report = markdown("stag", parse_events("\n".join(events)))
    assert (
        report == "**stag**: no changes\n\nWarnings:\n\n```text\nmemory: no limit\nold image\n```\n"
    )


def test_a_preview_that_fails_is_a_report_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = stream(diagnosticEvent=diagnostic("error", "``` is in it"))
    command(tmp_path / "pulumi", f"cat <<'END'\n{error}\nEND\nexit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UserError, match="the preview of stack stag failed"):
        deployment_report("stag").publish()
    assert capsys.readouterr().out == (
        "**stag**: the preview failed, so this can't be deployed\n\n````text\n``` is in it\n````\n"
    )
    command(tmp_path / "pulumi", "echo 'error: no stack named stag' >&2; exit 255")
    assert "no stack named stag" in drift_report("stag").markdown


def test_text_cannot_leave_its_cell() -> None:
    assert code("a|b") == "`a\\|b`"
    assert code("Host(`a`) || `b`\n") == "`` Host(`a`) \\|\\| `b` ``"
    assert len(code("x" * 1000)) < 210
    assert flat({"labels": labels(a="1"), "args": ["x", "y"]}) == {
        ("labels", "a", "value"): "1",
        ("args",): ["x", "y"],
    }
