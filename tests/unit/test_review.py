"""A preview in the words of Swarm, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from ops.review.changes import changes
from ops.review.differences import SECRET
from ops.review.preview import parse_events
from ops.review.report import (
    markdown,
)
from ops.review.step import kind

from .shared_review import HIDDEN, SERVICE, labels, step, stream


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


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("registry-com-login-htpasswd", "new login"),
        ("registry-com-login-users", "new login"),
        ("registry-com-registry-config", "new configuration"),
        ("registry-com-token-config", "new configuration, with the rules of registry:access"),
        ("registry-com-token-key", "new key that signs tokens"),
        ("registry-com-registry-jwks", "new keys of the tokens that count"),
        ("registry-com-registry-authorities", "new content"),
    ],
)
def test_a_secret_is_shown_as_what_it_is_for(name: str, line: str) -> None:
    one = step("replace", "docker:index/secret:Secret", {"data": HIDDEN}, {"data": HIDDEN})
    assert changes(one | {"urn": f"urn:pulumi:stag::registry::secret::{name}"}) == [line]


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
