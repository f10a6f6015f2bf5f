"""Rules of retention: what is wrong with them, and what they come to."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from components import GarbageCollectionOptions, RetentionRule
from components.retention import RULES_FILE, rules_text
from ops import collection, retention
from ops.bootstrap.console import UserError
from ops.collection import Report
from ops.documentation import reference
from ops.job import Job
from settings.retention import KEYS

from .conftest import Deploy
from .shared_collection import collect
from .shared_job import A, Swarm, stack_on, status
from .shared_settings import settings

GOOD = {"repositories": "team/**", "keep": 10, "olderThan": "720h", "never": ["v*", "latest"]}
GC = {"schedule": "0 4 * * *"}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


WRONG: list[tuple[str, Any, str]] = [
    ("retention", "team/**", "must be a list"),
    ("retention", [], "has no rule in it"),
    ("retention[1]", [GOOD, "team/**"], "must be a map of repositories, keep, olderThan, never"),
    ("retention[0].kep", [{**GOOD, "kep": 1}], "Did you mean keep?"),
    ("retention[0].untagged", [{**GOOD, "untagged": True}], "is none of repositories, keep"),
    ("retention[0].repositories", [without("repositories")], "is missing"),
    ("retention[0].repositories", [{**GOOD, "repositories": []}], "'**' alone is for all"),
    ("retention[0].repositories", [{**GOOD, "repositories": None}], "is missing"),
    ('retention[0]["a.b"]', [{**GOOD, "a.b": 1}], "is none of repositories, keep"),
    ("retention[0].repositories", [{**GOOD, "repositories": "Team"}], "a pattern of whole names"),
    (
        "retention[0].repositories[1]",
        [{**GOOD, "repositories": ["a", 1]}],
        "is 1: it must be a text",
    ),
    ("retention[0].keep", [without("keep")], "is missing: it must be a whole number"),
    ("retention[0].keep", [{**GOOD, "keep": -1}], "is -1: it must be a whole number"),
    ("retention[0].keep", [{**GOOD, "keep": True}], "is True: it must be a whole number"),
    ("retention[0].keep", [{**GOOD, "keep": 1.5}], "is 1.5: it must be a whole number"),
    ("retention[0].olderThan", [without("olderThan")], "is missing"),
    ("retention[0].olderThan", [{**GOOD, "olderThan": "30d"}], "720h are 30 days"),
    ("retention[0].olderThan", [{**GOOD, "olderThan": "59m"}], "1h or more"),
    ("retention[0].olderThan", [{**GOOD, "olderThan": 720}], "is 720: it must be"),
    ("retention[0].never", [{**GOOD, "never": "team/*"}], "a pattern of whole tags"),
    ("retention[0].never[1]", [{**GOOD, "never": ["v*", "**"]}], "a pattern of whole tags"),
    ("retention[0].never[0]", [{**GOOD, "never": [1]}], "is 1: it must be a text"),
    # YAML reads a number where somebody writes the tag 1.10.
    ("retention[0].never[0]", [{**GOOD, "never": [1.1]}], "is 1.1: it must be a text"),
    ("retention[0].never", [{**GOOD, "never": 1.1}], "is 1.1: it must be a text"),
]


@pytest.mark.parametrize(("key", "value", "reason"), WRONG)
def test_a_wrong_rule_is_one_line_that_says_what_to_type(key: str, value: Any, reason: str) -> None:
    with pytest.raises(pulumi.RunError, match=r"^One setting of stack prod is wrong") as error:
        settings(gc=GC, retention=value)
    _, problem, command = str(error.value).splitlines()
    assert problem.startswith(f"  - registry:{key} ")
    assert reason in problem
    assert f"registry:{key}" in command.replace("'", "")


def test_it_needs_the_collection_that_frees_the_space() -> None:
    with pytest.raises(pulumi.RunError, match="registry:retention needs registry:gc") as error:
        settings(retention=[GOOD])
    assert "--path registry:gc.schedule '0 4 * * *'" in str(error.value)


def test_rules_reach_the_program_as_they_are_written() -> None:
    gc = settings(
        gc=GC,
        retention=[GOOD, {"repositories": ["a", "b/*"], "keep": "0", "olderThan": "1h"}],
    ).gc
    assert gc is not None
    assert gc.retention == [
        RetentionRule(
            repositories=("team/**",), keep=10, older_than="720h", never=("v*", "latest")
        ),
        RetentionRule(repositories=("a", "b/*"), keep=0, older_than="1h", never=()),
    ]
    first, second = json.loads(rules_text(gc.retention))
    assert first == {**GOOD, "repositories": ["team/**"]}
    assert second == {"repositories": ["a", "b/*"], "keep": 0, "olderThan": "1h", "never": []}


RULE = RetentionRule(repositories=["**"], keep=3, older_than="720h")


def test_tags_go_before_each_collection_of_the_schedule(deploy: Deploy) -> None:
    recorded = collect(deploy, schedule="0 4 * * *", retention=[RULE])
    container = recorded.of_type("Service")["gc-service"]["taskSpec"]["containerSpec"]
    assert container["commands"][-2:] == ["--rules", RULES_FILE]
    assert RULES_FILE in {file["fileName"] for file in container["secrets"]}
    assert "gc-retention" in recorded.of_type("Secret")


def test_without_rules_nothing_of_a_collection_changes(deploy: Deploy) -> None:
    recorded = collect(deploy, schedule="0 4 * * *")
    container = recorded.of_type("Service")["gc-service"]["taskSpec"]["containerSpec"]
    assert "--rules" not in container["commands"]
    assert "gc-retention" not in recorded.of_type("Secret")


@pytest.mark.parametrize("dry_run", [False, True])
def test_tags_that_the_swarm_runs_are_kept(monkeypatch: pytest.MonkeyPatch, dry_run: bool) -> None:
    jobs: list[Job] = []

    def run(_: object, job: Job, __: object) -> int:
        jobs.append(job)
        return 0

    monkeypatch.setattr(collection, "run_job", run)
    monkeypatch.setattr(collection, "digests_in_use", lambda _: {A})
    prod = stack_on(Swarm(status("complete", 0)), monkeypatch)
    prod.settings.gc = GarbageCollectionOptions(retention=[RULE])
    retention.retain(prod, dry_run=dry_run)
    (job,) = jobs
    files = "--rules /etc/registry-gc/retention.json --keep-digests /etc/registry-gc/keep"
    expected = f"/bin/registry-gc retention {files}{' --dry-run' if dry_run else ''}"
    assert " ".join(job.command) == expected
    assert job.files == {RULES_FILE: rules_text([RULE]), "/etc/registry-gc/keep": f"{A}\n"}


def test_without_rules_it_says_how_to_write_one(monkeypatch: pytest.MonkeyPatch) -> None:
    prod = stack_on(Swarm(status("complete", 0)), monkeypatch)
    prod.settings.gc = GarbageCollectionOptions()
    with pytest.raises(UserError, match=r"'registry:retention\[0\]\.keep' 10"):
        retention.retain(prod, dry_run=True)


def test_each_tag_that_goes_is_named_and_counted() -> None:
    shown: list[str] = []
    report = Report(shown.append)
    tag = {"repository": "team/app", "tag": "b1", "pushed": "2026-11-01T00:00:00Z"}
    report.take(json.dumps({"msg": "tag would go", **tag}))
    report.take(json.dumps({"msg": "in use: kept", "repository": "team/app", "tag": "b2"}))
    summary = {"tags_aside": 1, "tags_kept": 4, "interrupted": False}
    done = {"msg": "done", "tags_only": True, "summary": summary}
    report.take(json.dumps({**done, "dry_run": True}))
    report.take(json.dumps({**done, "dry_run": False}))
    assert shown == [
        "would go: team/app:b1, pushed 2026-11-01T00:00:00Z",
        "in use: kept: team/app:b2",
        "would go: 1 tags; kept by the rules: 4\nnothing was changed",
        "put aside: 1 tags; kept by the rules: 4",
    ]
    assert report.summary["tags_aside"] == 1


def test_the_reference_names_all_keys_of_a_rule() -> None:
    (text,) = (text for keys, _, text in reference() if keys == ["registry:retention"])
    for key in KEYS:
        assert f"`{key}`" in text, key
