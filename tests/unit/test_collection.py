"""`make gc`: what it asks of its job, and its log in words."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from components import GarbageCollectionOptions
from ops import collection
from ops.bootstrap.console import UserError
from ops.collection import Report, digests_in_use
from ops.job import Job

from .shared_job import A, B, C, Swarm, stack_on, status


def test_digests_that_services_run_or_would_go_back_to_are_kept() -> None:
    def spec(image: str) -> dict[str, Any]:
        return {"TaskTemplate": {"ContainerSpec": {"Image": image}}}

    services = [
        {"Spec": spec(f"registry.example.com/app:1@{A}"), "PreviousSpec": spec(f"app@{B}")},
        {"Spec": spec("registry.example.com/app:2")},
        {"Spec": {"TaskTemplate": {"PluginSpec": {}}}},
        {"Spec": spec(f"other.example.com/app@{C}")},
    ]
    client: Any = SimpleNamespace(services=lambda: services)
    assert digests_in_use(client) == {A, B, C}


@pytest.mark.parametrize(
    ("untagged", "dry_run", "expected"),
    [
        (False, False, "run --grace 24h --trash 168h --second-look 1m"),
        (False, True, "run --grace 24h --trash 168h --second-look 1m --dry-run"),
        (
            True,
            False,
            "run --grace 24h --trash 168h --second-look 1m --untagged --keep-digests"
            " /etc/registry-gc/keep",
        ),
    ],
)
def test_a_collection_is_told_what_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
    untagged: bool,
    dry_run: bool,
    expected: str,
) -> None:
    jobs: list[Job] = []

    def run(_: object, one: Job, __: object) -> int:
        jobs.append(one)
        return 0

    monkeypatch.setattr(collection, "run_job", run)
    monkeypatch.setattr(collection, "digests_in_use", lambda _: {B, A})
    prod = stack_on(Swarm(status("complete", 0)), monkeypatch)
    prod.settings.gc = GarbageCollectionOptions(untagged=untagged)
    collection.collect(prod, dry_run=dry_run)
    (one,) = jobs
    assert " ".join(one.command) == f"/bin/registry-gc {expected}"
    assert one.files == ({"/etc/registry-gc/keep": f"{A}\n{B}\n"} if untagged else {})


def test_without_the_setting_a_collection_is_refused_with_what_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prod = stack_on(Swarm(status("complete", 0)), monkeypatch)
    prod.settings.gc = None
    with pytest.raises(UserError, match=r"--path registry:gc\.schedule '0 4 "):
        collection.collect(prod, dry_run=True)


def test_a_log_is_shown_in_words() -> None:
    shown: list[str] = []
    report = Report(shown.append)
    summary = dict.fromkeys(
        [
            *("manifests_kept", "blobs_kept", "blobs_young", "manifests_aside", "blobs_aside"),
            *("links_aside", "bytes_aside", "bytes_removed"),
        ],
        2048,
    )
    for n in range(25):
        report.take(json.dumps({"msg": "would go", "path": f"blobs/{n}", "bytes": 1}))
    done = {"msg": "done", "dry_run": True, "summary": {**summary, "interrupted": False}}
    report.take(json.dumps(done))
    assert len(shown) == 22
    assert shown[20] == "… and 5 more"
    assert "would be put aside: 2048 manifests, 2048 blobs (2.0 KiB)" in shown[21]
    assert "nothing was changed" in shown[21]
    report.take(json.dumps({"level": "WARN", "msg": "no content", "repository": "app"}))
    assert shown[-1] == "no content: repository app"
    report.take("panic: of the program itself")
    assert shown[-1] == "panic: of the program itself"
    report.take(json.dumps({"level": "ERROR", "msg": "another clean-up runs"}))
    assert report.error == "another clean-up runs"
