"""The report of a preview: counts, order, gaps, warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.bootstrap.console import UserError
from ops.review.differences import flat
from ops.review.preview import Preview, parse_events
from ops.review.report import (
    deployment_report,
    drift_report,
    gap_warnings,
    gaps_reported,
    markdown,
)
from ops.review.step import DELETE_REPLACED, code

from .shared_ops import command
from .shared_review import HIDDEN, SERVICE, labels, step, stream


def diagnostic(severity: str, message: str) -> dict[str, Any]:
    return {"severity": severity, "message": message, "prefix": f"{severity}: "}


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
