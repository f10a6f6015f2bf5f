"""`make status` on what logs say: failed logins, and runs by a schedule."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.config import Config
from ops.status import task_logs
from ops.status.logins import Failure, last_storm, login_line, login_lines
from ops.status.upkeep import upkeep_lines
from settings.cron import due_before

from .shared_doctor import outputs
from .shared_status import NOW, Client, ago, inputs, service, stack, swarm

DAY = timedelta(days=1)
CHALLENGE = (
    '{time} time="x" level=warning msg="error authorizing context: basic authentication challenge'
    ' for realm \\"Registry\\": {reason}" http.request.host=h {address}'
)


def refused(
    reason: str = "authentication failure", address: str = "10.0.0.9", **time: float
) -> str:
    """Return a registry's line about a request that it refused."""
    shown = f'http.request.remoteaddr="{address}" http.request.uri=/v2/'
    return CHALLENGE.format(time=ago(**time), reason=reason, address=shown)


def failures(*seconds: float, address: str = "10.0.0.9") -> list[Failure]:
    """Return failed logins, so many seconds before now."""
    return [(NOW - timedelta(seconds=each), address) for each in seconds]


def test_failed_logins_are_counted_from_the_registrys_log() -> None:
    log = "\n".join(
        [
            "no time",
            refused(hours=2, address="10.0.0.9:4711"),
            refused("invalid authorization credential", hours=1),  # Without a login.
            refused(hours=1, address="2001:db8::1"),
        ]
    )
    (line,) = login_lines(stack(), swarm(client=Client(log=log)))
    assert (line.state, line.text) == ("ok", "2 failed in the last 24 h")
    assert line.facts == {"failed": 2, "seconds": 86400}
    (line,) = login_lines(stack(), swarm(client=Client(log=refused("other", hours=2))))
    assert line.text == "none failed in the last 24 h"


def token(result: str, user: str = "ci", **time: float) -> str:
    """Return a line of the token server's audit log."""
    entry = {"event": "token", "user": user, "address": "10.0.0.9", "result": result}
    return f"{ago(**time)} {json.dumps(entry, separators=(',', ':'))}"


def test_failed_logins_are_counted_from_the_token_servers_log() -> None:
    log = "\n".join(
        [
            token("unauthorized", hours=3),
            token("unauthorized", "", hours=2),  # Without a login.
            token("limited", "(unknown)", hours=2),
            token("granted", hours=1),
            f'{ago(hours=1)} not JSON: "unauthorized"',
        ]
    )
    client = Client(log=log)
    there = swarm(service("images_token"), service(), client=client)
    deployed = stack(inputs("images_token"), inputs(), outputs=outputs(has_tokens=True))
    (line,) = login_lines(deployed, there)
    assert line.text == "2 failed in the last 24 h"
    assert len(client.done) == 1


def test_a_storm_is_a_warning_with_its_time_and_address() -> None:
    storm = [refused(minutes=60 - each / 30) for each in range(25)]
    log = "\n".join([refused(hours=9), *storm, refused(minutes=1, address="10.0.0.8")])
    (line,) = login_lines(stack(), swarm(client=Client(log=log)))
    assert line.state == "warning"
    assert line.text == (
        "25 failed at 2026-11-26 11:00 UTC, most of them from 10.0.0.9; 27 failed in the last 24 h"
    )
    assert line.commands == ("make logs STACK=prod",)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], None),
        (range(190, 0, -10), None),  # Nineteen, over three minutes.
        ([60] * 19, None),
        ([60] * 20, (60, 60, 20)),
        (range(100, 0, -4), None),  # 15 a minute.
        (range(99, 0, -3), (99, 3, 33)),
        ([*([900] * 30), *([60] * 20)], (60, 60, 20)),  # The newest one.
        ([*([900] * 30), 60], (900, 900, 30)),
    ],
)
def test_a_storm_is_twenty_within_a_minute(
    seconds: Sequence[float], expected: tuple[int, int, int] | None
) -> None:
    storm = last_storm(failures(*seconds))
    times = [(NOW - each).total_seconds() for each in (storm.begin, storm.end)] if storm else []
    assert (storm and (*times, storm.count)) == expected


def test_a_storm_over_minutes_is_shown_with_its_end() -> None:
    line = login_line("prod", failures(*range(300, 0, -1)), DAY)
    assert "300 failed at 2026-11-26 11:55 to 11:59 UTC" in line.text


def test_a_log_that_is_cut_is_said_to_be_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_logs, "MAX_LINES", 2)
    log = "\n".join([refused(minutes=30), refused(minutes=20)])
    (line,) = login_lines(stack(), swarm(client=Client(log=log)))
    assert line.text == "2 failed in the last 30 min"


def test_logins_that_arent_logged_arent_known() -> None:
    quiet = Config(
        stack="prod",
        values={"registry:stackName": "images", "registry:config": '{"log": {"level": "error"}}'},
    )
    (line,) = login_lines(stack(config=quiet), swarm())
    assert (line.state, "registry:config.log.level error" in line.text) == ("unknown", True)
    # Where hashes were taken over, the registry asks for no login.
    (line,) = login_lines(replace(stack(), outputs=outputs(password=None)), swarm())
    assert (line.state, "Traefik asks for the login" in line.text) == ("unknown", True)
    (line,) = login_lines(stack(), swarm(client=Client(log=OSError("timed out"))))
    assert (line.state, line.text) == ("unknown", "not known: the logs can't be read (timed out)")


NEXT = "2026-11-27T04:00:00Z"
LINES = ["0 4 * * *", "0 3 * * 0", "0 3 * * 7", "0 3 * * 1", "30 23 1 * *", "0 3 29 2 *",
         "0 3 26 * 0", "*/15 * * * *"]  # fmt: skip
RUN = {"ended": "2026-11-26T04:00:30Z", "bytes_aside": 2**30, "bytes_removed": 2**20, "error": ""}


def waiting(**others: Any) -> str:
    """Return the line by which a scheduled service begins to wait for its next run."""
    entry = {"level": "INFO", "msg": "waiting", "until": NEXT, **others}
    return f"{ago(hours=7)} {json.dumps(entry, separators=(',', ':'))}"


def collection(*lines: str, now: datetime = NOW, tasks: Any = None) -> tuple[str, str]:
    """Return state and text of the line about the collection, for a log."""
    client = Client(log="\n".join(lines) or "nothing")
    there = swarm(service("images_gc"), client=client, now=now, tasks=tasks)
    backup, line = upkeep_lines(stack(inputs("images_gc")), there)
    none = "none is scheduled (registry:backup.schedule)"
    assert (backup.title, backup.state, backup.text) == ("backup", "off", none)
    assert (line.title, bool(line.commands)) == (
        "collection",
        line.state in ("wrong", "warning"),
    )
    return line.state, line.text


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({"new": True, "bytes_copied": 2**20, "tags": 500}, "1.0 MiB copied, 500 tags"),
        ({"new": False, "bytes_copied": 0, "tags": 500}, "nothing was new, 500 tags"),
    ],
)
def test_the_last_backup_is_shown_with_what_it_came_to(run: dict[str, Any], expected: str) -> None:
    last = {"ended": "2026-11-26T03:00:05Z", "error": "", **run}
    client = Client(log=waiting(last_run=last))
    there = swarm(service("images_backup"), client=client, now=NOW)
    line = next(iter(upkeep_lines(stack(inputs("images_backup")), there)))
    assert (line.title, line.state) == ("backup", "ok")
    assert expected in line.text


def test_the_last_collection_is_shown_with_what_it_came_to() -> None:
    junk = f'{ago(hours=6)} not JSON: "waiting"'
    assert collection(waiting(), waiting(last_run=RUN), junk) == (
        "ok",
        "7 h ago: 1.0 GiB put aside, 1.0 MiB freed; the next one 2026-11-27 04:00 UTC",
    )
    assert collection(waiting()) == ("ok", "none yet; the next one 2026-11-27 04:00 UTC")


def test_a_collection_that_failed_is_wrong() -> None:
    full = "the storage is full"
    assert collection(waiting(last_run={**RUN, "error": full})) == (
        "wrong",
        f"failed 7 h ago: {full}; the next one 2026-11-27 04:00 UTC",
    )
    assert collection(waiting(last_run=RUN, error=full))[0] == "wrong"
    assert collection(waiting(error=full))[1].startswith(f"failed: {full}; ")
    state, text = collection(waiting(last_run={**RUN, "interrupted": True}))
    assert (state, "7 h ago: interrupted" in text) == ("warning", True)


@pytest.mark.parametrize(("hours", "state"), [(11, "ok"), (13, "warning")])
def test_a_collection_that_doesnt_end_is_a_warning(hours: int, state: str) -> None:
    now = datetime.fromisoformat(NEXT.replace("Z", "+00:00")) + timedelta(hours=hours)
    shown = collection(waiting(last_run=RUN), now=now)
    assert shown[0] == state
    assert shown[1].endswith("; due since 2026-11-27 04:00 UTC")


@pytest.mark.parametrize(
    ("ended", "updated", "state", "text"),
    [
        # A run that is killed, for its memory above all, says nothing; a new task waits again.
        (31, 72, "warning", "31 h ago: .*; the one of 2026-11-26 04:00 UTC was cut off; the next"),
        (55, 72, "wrong", "2 days ago: .*; the one of 2026-11-26 04:00 UTC was cut off"),
        (None, 72, "wrong", "none yet; the one of 2026-11-26 04:00 UTC was cut off"),
        (7.5, 72, "ok", "7 h ago: 1.0 GiB put aside, 1.0 MiB freed; the next one"),
        # Nothing was due since the service is as it is now.
        (100, 7.5, "ok", "4 days ago: .* freed; the next"),
        (None, 2, "ok", "none yet; the next"),
    ],
)
def test_a_run_that_was_killed_is_missed(
    ended: float | None, updated: float, state: str, text: str
) -> None:
    now = datetime(2026, 11, 26, 11, 40, tzinfo=timezone.utc)
    moments = [
        f"{now - timedelta(hours=each):%Y-%m-%dT%H:%M:%SZ}" if each else None
        for each in (ended, updated)
    ]
    made = {**service("images_gc"), "UpdatedAt": moments[1]}
    container = made["Spec"]["TaskTemplate"]["ContainerSpec"]
    container["Command"] = ["/bin/registry-gc", "schedule", "0 4 * * *", "--grace", "24h"]
    log = waiting(**({"last_run": {**RUN, "ended": moments[0]}} if ended else {}))
    there = swarm(made, client=Client(log=log), now=now)
    _, line = upkeep_lines(stack(inputs("images_gc")), there)
    assert line.state == state
    assert re.match(text, line.text), line.text


@pytest.mark.parametrize(
    "entry",
    [
        {"until": 5}, {"until": "soon"}, {"last_run": {"error": ""}}, {"last_run": ["x"]},
        {"last_run": {**RUN, "bytes_aside": "much"}},
    ],
)  # fmt: skip
def test_a_log_of_another_version_isnt_known(entry: dict[str, Any]) -> None:
    assert collection(waiting(**entry)) == ("unknown", "not known: its log doesn't say it")


@given(st.datetimes(datetime(2024, 1, 1), datetime(2034, 1, 1)), st.sampled_from(LINES))
def test_the_time_before_is_one_that_the_schedule_has(time: datetime, line: str) -> None:
    before = due_before(line, time.replace(tzinfo=timezone.utc))
    assert before < time.replace(tzinfo=timezone.utc)
    minute, hour, *_ = line.split()
    assert (minute, hour) in ((str(before.minute), str(before.hour)), ("*/15", "*"))
    weekday = {"0 3 * * 0": 7, "0 3 * * 7": 7, "0 3 * * 1": 1}.get(line)
    assert weekday in (None, before.isoweekday())


def test_the_time_before_skips_none() -> None:
    def before(line: str, text: str) -> str:
        moment = datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
        return f"{due_before(line, moment):%Y-%m-%d %H:%M}"

    assert before("0 4 * * *", "2026-11-27T04:00:00") == "2026-11-26 04:00"
    assert before("0 4 * * *", "2026-11-27T04:00:01") == "2026-11-27 04:00"
    assert before("0 3 29 2 *", "2027-01-01T00:00:00") == "2024-02-29 03:00"
    # Of both fields of days one is enough: Thursday the 26th, Sunday the 22nd.
    assert before("0 3 26 * 0", "2026-11-26T12:00:00") == "2026-11-26 03:00"
    assert before("0 3 26 * 0", "2026-11-26T02:00:00") == "2026-11-22 03:00"
    assert before("*/15 * * * *", "2026-11-26T00:00:00") == "2026-11-25 23:45"


def test_a_collection_whose_log_cant_be_read_isnt_known() -> None:
    assert collection(tasks=[])[0] == "unknown"
    assert collection() == ("unknown", "not known: its log doesn't say it")
    there = swarm(service("images_gc"), client=Client(log=OSError("timed out")))
    _, line = upkeep_lines(stack(inputs("images_gc")), there)
    assert (line.state, line.text) == ("unknown", "not known: the log can't be read (timed out)")
