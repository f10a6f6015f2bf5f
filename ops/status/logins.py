"""The line about logins that failed: how many, and whether somebody tried many at once.

It is what the token server's log says, or the registries' own where they ask for the login
themselves. No name of a user is shown: people type passwords into that field.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from components.token_server import FAILURES, WINDOW_SECONDS
from ops.program_log import fields_of
from ops.quantities import span
from ops.status.line import Line, stamp
from ops.status.snapshot import Deployed, Swarm
from ops.status.task_logs import TaskLogs, read_logs

WINDOW = timedelta(seconds=WINDOW_SECONDS)
"""Time in which `FAILURES` are a storm, as the token server has it for one user and address."""
SILENT = ("error", "fatal", "panic")
"""Levels at which a registry logs no failed login."""
_REFUSED = re.compile(r"basic authentication challenge.*: authentication failure")
_ADDRESS = re.compile(r'http\.request\.remoteaddr"?[=:]"?([^\s",]+)')


@dataclass(frozen=True, kw_only=True)
class Storm:
    """Many failed logins in a short time."""

    begin: datetime
    end: datetime
    count: int
    address: str
    """Source of most of them."""


Failure = tuple[datetime, str]
"""Time and address of a failed login."""


def login_lines(stack: Deployed, swarm: Swarm) -> list[Line]:
    """Return a line with the failed logins of the last day, as far as logs go back."""
    has_tokens = stack.outputs.has_tokens
    if not has_tokens and not stack.outputs.password:
        text = "not known: Traefik asks for the login, and its log isn't read"
        return [Line(title="logins", state="unknown", text=text)]
    level = stack.config.log_level
    if not has_tokens and level in SILENT:
        text = f"not known: at registry:config.log.level {level} no failed one is logged"
        return [Line(title="logins", state="unknown", text=text)]
    asks = re.compile("token" if has_tokens else "registry|mirror-.*")
    services = [name for name in stack.services if asks.fullmatch(stack.short(name))]
    try:
        logs = read_logs(swarm, services)
    except OSError as error:
        text = f"not known: the logs can't be read ({error})"
        return [Line(title="logins", state="unknown", text=text)]
    failures = _with_tokens(logs) if has_tokens else _with_passwords(logs)
    return [login_line(stack.stack, failures, swarm.now - logs.begin)]


def login_line(stack: str, failures: Sequence[Failure], period: timedelta) -> Line:
    """Return the line about `failures`, in the order of time, of the last `period`."""
    storm = last_storm(failures)
    total = f"{len(failures) or 'none'} failed in the last {span(period)}"
    facts = {"failed": len(failures), "seconds": int(period.total_seconds())}
    if not storm:
        return Line(title="logins", state="ok", text=total, facts=facts)
    # A storm may end in the minute in which it began.
    until = f" to {storm.end:%H:%M}" if f"{storm.end:%H:%M}" != f"{storm.begin:%H:%M}" else ""
    return Line(
        title="logins",
        state="warning",
        text=(
            f"{storm.count} failed at {storm.begin:%Y-%m-%d %H:%M}{until} UTC, most of them from"
            f" {storm.address}; {total}"
        ),
        commands=(f"make logs STACK={stack}",),
        facts={**facts, "storm": stamp(storm.begin), "storm_failed": storm.count},
    )


def last_storm(failures: Sequence[Failure]) -> Storm | None:
    """Return the newest storm; None where there was none."""
    members: list[int] = []
    for last in range(len(failures) - 1, FAILURES - 2, -1):
        first = last - FAILURES + 1
        if members and last < members[-1]:
            break
        if failures[last][0] - failures[first][0] <= WINDOW:
            # Windows overlap: the storm goes on to the left.
            newest = members[0] if members else last
            members = list(range(newest, first - 1, -1))
    if not members:
        return None
    storm = [failures[index] for index in reversed(members)]
    (address, _), *_ = Counter(address for _, address in storm).most_common(1)
    return Storm(begin=storm[0][0], end=storm[-1][0], count=len(storm), address=address)


def _with_passwords(logs: TaskLogs) -> list[Failure]:
    """Return the failed logins that registries have logged."""
    failures = []
    for time, text in logs.lines:
        if _REFUSED.search(text):
            address = _ADDRESS.search(text)
            failures.append((time, _host(address[1]) if address else "?"))
    return failures


def _with_tokens(logs: TaskLogs) -> list[Failure]:
    """Return the wrong and the refused logins that the token server has logged."""
    failures = []
    for time, text in logs.lines:
        if '"unauthorized"' not in text and '"limited"' not in text:
            continue
        entry = fields_of(text) or {}
        # Whoever has no login is sent here for one.
        if entry.get("user") and entry.get("result") in ("unauthorized", "limited"):
            failures.append((time, str(entry.get("address") or "?")))
    return failures


def _host(address: str) -> str:
    """Return an address without a port."""
    match = re.fullmatch(r"\[?([^\[\]]*?)\]?(?::\d+)?", address)
    has_port = address.count(":") <= 1 or address.startswith("[")  # Else it is of IPv6, and bare.
    return match[1] if match and has_port else address
