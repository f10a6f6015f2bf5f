"""Logged-in requests: a generated password's hash, and one for passwords that can be guessed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from bench.figures import Figure
from bench.testbed import DOMAIN, Testbed
from ops.bootstrap.console import UserError

ROUNDS, SECONDS, CONNECTIONS = 3, 5, 4
GIVEN = secrets.token_urlsafe(24)


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Measure two users: one with a generated password, one with a given one (cost 10)."""
    project = testbed.project("logins")
    settings = {"stackName": "logins", "domain": DOMAIN, "proxy": "stack", "network": "logins"}
    project.init("bench", {f"registry:{key}": value for key, value in settings.items()})
    for index, user in enumerate(("admin", "given")):
        project.set("bench", f"registry:users[{index}]", user, "--path")
    project.set("bench", "registry:passwords.given", GIVEN, "--path", "--secret")
    project.up("bench")
    logins = {"admin": str(project.outputs("bench")["password"]), "given": GIVEN}
    rates: dict[str, list[float]] = {user: [] for user in logins}
    for user, password in logins.items():
        testbed.answers("http://127.0.0.1/v2/", f"{user}:{password}")
    for _ in range(ROUNDS):
        for user, password in logins.items():
            rates[user].append(_rate(testbed, f"{user}:{password}"))
    yield Figure(
        title="logged-in requests, generated password / a given one, cost 10",
        ours=rates["admin"],
        peer=rates["given"],
        unit="/s",
        better="more",
        target=25,
    )


def _rate(testbed: Testbed, login: str) -> float:
    url = f"http://{DOMAIN}/v2/"
    output = testbed.load(url, login, connections=CONNECTIONS, seconds=SECONDS)
    if "Non-2xx" in output:
        raise UserError(f"not every request was let in: {output}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if not rate:
        raise UserError(f"wrk says: {output}")
    return float(rate[1])
