"""A request to a deployed registry, and the error of a check that fails."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10
NO_ANSWER = (OSError, http.client.HTTPException)
"""Errors of `request` when no answer comes."""


class CheckFailedError(Exception):
    """A finding of a check, and its remedy."""


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    """May be a token."""


def request(
    url: str,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: Iterator[bytes] | None = None,
) -> Answer:
    """Return the answer to one request; no redirect is followed. Raises one of `NO_ANSWER`."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request(method, path, body, dict(headers or {}), encode_chunked=bool(body))
        answer = connection.getresponse()
        content = answer.read()
        lower = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, lower, content)
    finally:
        connection.close()
