"""Requests with a login: a hash of each kind, and a token that one login has got."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from functools import partial

from bench.figures import Figure
from bench.testbed import ANSWER_S, DOMAIN, Testbed, basic
from ops.bootstrap.console import UserError, wait

ROUNDS, SECONDS, CONNECTIONS = 3, 5, 4
GIVEN = secrets.token_urlsafe(24)
REFUSED = "Authorization: Bearer none"
"""Header that the registry itself refuses: what has no token at all goes to the token server."""
PORTS = {"logins": 8000, "tokens": 8001}
"""By stack: one whose registry checks logins, one whose registry takes tokens."""


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Measure two users: one with a generated password, one with a given one (cost 10)."""
    generated = _deployed(testbed, "logins", {})
    _deployed(testbed, "tokens", {"auth": "token"})
    rates: dict[str, list[float]] = {}
    headers = {"generated": basic(f"admin:{generated}"), "given": basic(f"given:{GIVEN}")}
    for header in headers.values():
        wait("the registry", partial(_answers, testbed, "logins", header), ANSWER_S)
    wait("the token server", lambda: _answers(testbed, "tokens", _token(testbed)), ANSWER_S)
    for _ in range(ROUNDS):
        for name, header in headers.items():
            rates.setdefault(name, []).append(_rate(testbed, "logins", header))
        rates.setdefault("token", []).append(_rate(testbed, "tokens", _token(testbed)))
        rates.setdefault("refused", []).append(_rate(testbed, "tokens", REFUSED, refused=True))
    for title, ours, peer, target in (
        ("generated password / a given one, cost 10", "generated", "given", 25),
        ("a given password's token / refused ones", "token", "refused", 0.7),
    ):
        yield Figure(
            title=f"logged-in requests, {title}",
            ours=rates[ours],
            peer=rates[peer],
            unit="/s",
            better="more",
            target=target,
        )


def _deployed(testbed: Testbed, name: str, changes: Mapping[str, str]) -> str:
    """Deploy a stack with both users; return the generated password."""
    project = testbed.project(name)
    settings = {
        **changes,
        "stackName": name,
        "domain": DOMAIN,
        "proxy": "stack",
        "network": name,
        "proxyHttpPort": str(PORTS[name]),
        "users[0]": "admin",
        "users[1]": "given",
    }
    project.init("bench", {f"registry:{key}": value for key, value in settings.items()})
    project.set("bench", "registry:passwords.given", GIVEN, "--path", "--secret")
    project.up("bench")
    return str(project.outputs("bench")["password"])


def _url(stack: str) -> str:
    return f"http://{DOMAIN}:{PORTS[stack]}"


def _token(testbed: Testbed) -> str:
    """Return the header with a token; this is the one time that the password is checked."""
    url = f"{_url('tokens')}/auth/token?service=tokens"
    asked = ("curl", "-sf", "--max-time", "5", "-H", basic(f"given:{GIVEN}"), url)
    token = json.loads(testbed.swarm.exec(testbed.node, *asked).stdout)["token"]
    return f"Authorization: Bearer {token}"


def _answers(testbed: Testbed, stack: str, header: str) -> bool:
    asked = ("curl", "-sf", "--max-time", "5", "-H", header, f"{_url(stack)}/v2/")
    return testbed.swarm.exec(testbed.node, *asked, check=False).returncode == 0


def _rate(testbed: Testbed, stack: str, header: str, *, refused: bool = False) -> float:
    """Return requests a second, all with this header, and all let in or all `refused`."""
    url = f"{_url(stack)}/v2/"
    output = testbed.load(url, header, connections=CONNECTIONS, seconds=SECONDS)
    if ("Non-2xx" in output) != refused:
        raise UserError(f"not every request was {'refused' if refused else 'let in'}: {output}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if not rate:
        raise UserError(f"wrk says: {output}")
    return float(rate[1])
