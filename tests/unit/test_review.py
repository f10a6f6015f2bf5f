"""Markdown of a preview, from Pulumi's events."""

from __future__ import annotations

import json
from typing import Any

from ops.review import SECRET, UNKNOWN, markdown, read

SERVICE = "docker:index/service:Service"


def step(op: str, kind: str = SERVICE, **inputs: Any) -> str:
    old, new = inputs.get("old"), inputs.get("new")
    metadata: dict[str, Any] = {"op": op, "type": kind, "urn": f"urn:pulumi:stag::registry::{kind}::thing"}
    for side, value in (("old", old), ("new", new)):
        metadata[side] = {"inputs": value} if value is not None else None
    return json.dumps({"resourcePreEvent": {"metadata": metadata}})


def report(*lines: str) -> str:
    return markdown("stag", read(lines))


def test_labels_are_compared_by_their_keys() -> None:
    old = {"name": "s", "labels": [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}]}
    new = {"name": "s", "labels": [{"label": "b", "value": "3"}, {"label": "c", "value": "4"}]}
    text = report(step("update", old=old, new=new))
    assert "label a: removed `1`" in text
    assert "label b: `2` → `3`" in text
    assert "label c: added `4`" in text


def test_a_secret_is_never_shown() -> None:
    secret = {SECRET: "1b47061264138c4ac30d75fd1eb44270", "plaintext": "hunter2"}
    old, new = {"name": "s", "env": {"X": "hunter1"}}, {"name": "s", "env": {"X": secret}}
    assert "`hunter1` → `[secret]`" in report(step("update", old=old, new=new))
    kind = "docker:index/secret:Secret"
    text = report(step("replace", kind, old={"data": "hunter1"}, new={"data": "hunter2"}))
    assert "| replace | secret `thing` | new content |" in text
    assert "hunter" not in text


def test_the_parts_of_a_replacement_are_one_row_and_noise_is_none() -> None:
    steps = [step(op, old={"name": "a"}, new={"name": "b"})
             for op in ("create-replacement", "replace", "delete-replaced")]  # fmt: skip
    noise = [step("create", kind, new={}) for kind in (
        "pulumi:pulumi:Stack", "pulumi:providers:docker", "registry:index:Proxy",
        "random:index/randomBytes:RandomBytes")]  # fmt: skip
    assert report(*steps, *noise).startswith("### `stag`: 1 to replace\n")


def test_what_is_not_known_yet_is_said_so_and_a_cell_stays_a_cell() -> None:
    old = {"name": "s", "args": ["--a=x|y", "--b=1"]}
    new = {"name": "s", "args": ["--a=`z`", f"--b={UNKNOWN}", "--c"], "x": UNKNOWN}
    text = report(step("update", old=old, new=new))
    assert "flag --a: `x\\|y` → `` `z` ``" in text
    assert "x: added `known after the deployment`" in text


def test_errors_and_violations_are_told_once() -> None:
    error = json.dumps({"diagnosticEvent": {"severity": "error", "message": "error: broken\n"}})
    debug = json.dumps({"diagnosticEvent": {"severity": "debug", "message": "chatter"}})
    violation = json.dumps(
        {
            "policyEvent": {
                "resourceUrn": "urn::thing",
                "message": "Why.\nwhat is wrong\n",
                "policyName": "no-latest",
                "enforcementLevel": "mandatory",
            }
        }
    )
    found = read([error, error, debug, violation, "not JSON"])
    found.failed = True
    text = markdown("stag", found)
    assert text.count("broken") == 1
    assert "- **no-latest** (mandatory), `thing`: what is wrong" in text
    assert "chatter" not in text
    assert text.startswith("### `stag`: the preview failed\n")


def test_long_values_and_digests_are_cut() -> None:
    old = {"name": "s", "image": "r@sha256:" + "a" * 64, "x": "1"}
    new = {"name": "s", "image": "r@sha256:" + "b" * 64, "x": "y" * 500}
    text = report(step("update", old=old, new=new))
    assert "`r@sha256:aaaaaaaaaaaa` → `r@sha256:bbbbbbbbbbbb`" in text
    assert "y" * 97 not in text
