"""Checks of who gets in: registry, dashboard, and the headers that protect browsers."""

from __future__ import annotations

from components.distribution.config import TOKEN_PATH
from ops.doctor.request import NO_ANSWER, CheckFailedError, request
from ops.doctor.token import authorization, refusal, token_url
from ops.outputs import StackOutputs

_HEADERS = ("strict-transport-security", "x-content-type-options")
_HINTS = {
    404: ": no router of Traefik's leads to the registry, or no task of it runs",
    421: (
        ": what is in front of Traefik sends no name in TLS (SNI), or another one than in Host;"
        " registry:trustedProxies takes its address"
    ),
    503: ": no router of Traefik's leads to the registry, or no task of it runs",
}
"""Likely causes, by the status of a request without a login."""


def is_ready(outputs: StackOutputs) -> bool:
    """Return whether registry and dashboard answer, and the registry takes only the login."""
    try:
        # The dashboard's certificate is obtained apart from the registry's, and may come later.
        if outputs.is_https and outputs.dashboard:
            request(outputs.dashboard)
        if request(f"{outputs.url}/v2/").status != 401:
            return False
        if not outputs.password:
            return True
        return request(f"{outputs.url}/v2/", authorization(outputs)).status == 200
    except (CheckFailedError, *NO_ANSWER):
        return False


def login(outputs: StackOutputs) -> str:
    """Check that the login gets in, and nobody without one."""
    answer = refusal(outputs)
    if answer.status != 401:
        hint = _HINTS.get(answer.status, "")
        raise CheckFailedError(f"strangers get {answer.status}, not 401{hint}")
    if outputs.has_tokens:
        token_url(outputs, answer)
        refused = f"who has no token is sent to {TOKEN_PATH} (401)"
    else:
        refused = "strangers are refused (401)"
    if not outputs.password:
        return refused
    kind = "token" if outputs.has_tokens else "login"
    status = request(f"{outputs.url}/v2/", authorization(outputs)).status
    if status != 200:
        raise CheckFailedError(f"{outputs.username}'s {kind} gets {status}, not 200")
    means = " with a token" if outputs.has_tokens else ""
    return f"{refused}, {outputs.username} gets in{means} (200)"


def headers(outputs: StackOutputs) -> str:
    """Check the headers by which browsers insist on HTTPS and on types of content."""
    present = request(f"{outputs.url}/v2/", authorization(outputs)).headers
    for name in _HEADERS:
        if name not in present:
            raise CheckFailedError(f"the header {name} is missing")
    return "browsers insist on HTTPS (HSTS)"


def dashboard(outputs: StackOutputs) -> str:
    """Check that the dashboard asks for a login."""
    status = request(outputs.dashboard or "").status
    if status != 401:
        raise CheckFailedError(f"Traefik's dashboard answers strangers with {status}, not 401")
    return "Traefik's dashboard asks for a login (401)"
