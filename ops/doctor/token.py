"""Tokens, as clients get them: the registry says where, and a login is exchanged for one there."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from components.distribution.config import TOKEN_PATH
from ops.bootstrap.console import UserError, wait
from ops.doctor.request import Answer, CheckFailedError, request
from ops.outputs import StackOutputs

CHANGE_SECONDS = 30
"""Time for which a registry may go on asking for passwords after a change to tokens: for as long
as Traefik might still send requests to its former tasks."""
_HINTS = {
    401: ": it has another password; `make deploy` brings the two together",
    404: ": no router of Traefik's leads to the token server",
    429: ": too many wrong logins came from here; try again in a minute",
    502: ": no task of the token server runs (make logs STACK=…)",
    503: ": no task of the token server runs (make logs STACK=…)",
    504: ": no task of the token server runs (make logs STACK=…)",
}
"""Likely causes, by the status of a request for a token."""


def authorization(outputs: StackOutputs, scope: str = "") -> Mapping[str, str]:
    """Return the header of a request with the login, or with a token for `scope`.

    Raises `CheckFailedError` when no token is to be had.
    """
    if not outputs.has_tokens:
        return outputs.authorization
    url = token_url(outputs, refusal(outputs))
    query = urlencode({"account": outputs.username} | ({"scope": scope} if scope else {}))
    answer = request(f"{url}&{query}", outputs.authorization)
    if answer.status != 200:
        raise CheckFailedError(
            f"{outputs.username}'s login gets {answer.status} from the token server, not 200"
            f"{_HINTS.get(answer.status, '')}"
        )
    try:
        token = json.loads(answer.body)["token"]
    except (ValueError, LookupError, TypeError):
        raise CheckFailedError(
            f"{outputs.url}{TOKEN_PATH} gives no token: another service answers there"
        ) from None
    return {"Authorization": f"Bearer {token}"}


def refusal(outputs: StackOutputs) -> Answer:
    """Return what the registry answers to a stranger, once a change to tokens is over."""
    answer = request(f"{outputs.url}/v2/")

    def asks_for_tokens() -> bool:
        nonlocal answer
        if not answer.headers.get("www-authenticate", "").lower().startswith("basic "):
            return True
        answer = request(f"{outputs.url}/v2/")
        return False

    if outputs.has_tokens:
        with contextlib.suppress(UserError):
            wait("the registry to ask for tokens", asks_for_tokens, CHANGE_SECONDS, every=1)
    return answer


def token_url(outputs: StackOutputs, answer: Answer) -> str:
    """Return where a token is to be had, as the registry's answer to a stranger says.

    Raises `CheckFailedError` when that isn't the registry's own address.
    """
    challenge = answer.headers.get("www-authenticate", "")
    values = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if not challenge.lower().startswith("bearer ") or "realm" not in values:
        raise CheckFailedError(
            "the registry asks for a login itself, not for a token: another service answers at its"
            " name, or its tasks are of before registry:auth token (make deploy)"
        )
    expected = f"{outputs.url}{TOKEN_PATH}"
    if values["realm"].lower() != expected.lower():
        raise CheckFailedError(
            f"the registry sends clients to {values['realm']} for tokens, not to {expected}: what"
            " is in front of it has to hand on Host and X-Forwarded-Proto, and"
            " registry:trustedProxies takes its address"
        )
    return f"{expected}?{urlencode({'service': values.get('service', '')})}"
