"""Checks of uploads. Each is cancelled, so nothing of it stays in the registry."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from ops.doctor.request import NO_ANSWER, CheckFailedError, request
from ops.doctor.token import authorization
from ops.outputs import StackOutputs

SMALL_BYTES = 64 * 1024
"""Size of an upload that any disk has room for. A refusal of more may come too late to be read."""
REPOSITORY = "registry-doctor"
SCOPE = f"repository:{REPOSITORY}:pull,push"
READ_ONLY = "uploads are refused, as registry:config.storage.maintenance.readonly says"


class _RefusedError(Exception):
    """A setting refuses uploads, as it shall; the text says which."""


def small_upload(outputs: StackOutputs) -> str:
    """Check that the registry can store something."""
    try:
        upload = _begin(outputs)
        sent = request(upload, _headers(outputs), "PATCH", iter([b"\0" * SMALL_BYTES]))
    except _RefusedError as refusal:
        return str(refusal)
    except NO_ANSWER as error:
        raise CheckFailedError(_not_stored(error or type(error).__name__)) from None
    _cancel(outputs, sent.headers.get("location", upload))
    if sent.status != 202:
        raise CheckFailedError(_not_stored(sent.status))
    return f"an upload of {SMALL_BYTES // 1024} KiB is stored"


def slow_upload(outputs: StackOutputs, seconds: int) -> str:
    """Check that an upload may take `seconds`."""
    try:
        upload = _begin(outputs)
    except _RefusedError as refusal:
        return str(refusal)
    start = time.monotonic()
    try:
        sent = request(upload, _headers(outputs), "PATCH", _trickle(seconds))
    except NO_ANSWER:
        raise CheckFailedError(_cut_off(time.monotonic() - start)) from None
    _cancel(outputs, sent.headers.get("location", upload))
    if sent.status != 202:
        raise CheckFailedError(f"{_cut_off(time.monotonic() - start)} ({sent.status})")
    return f"an upload of {seconds} s gets through"


def _begin(outputs: StackOutputs) -> str:
    """Return the address of a new upload. Raises `_RefusedError`."""
    url = f"{outputs.url}/v2/{REPOSITORY}/blobs/uploads/"
    answer = request(url, authorization(outputs, SCOPE), "POST")
    if answer.status == 405:
        raise _RefusedError(READ_ONLY)
    # The token itself counts: the login has been checked with one.
    if outputs.has_tokens and answer.status == 401:
        raise _RefusedError(
            f"no upload is tried: no rule of registry:access lets {outputs.username} push to"
            f" {REPOSITORY}"
        )
    if answer.status != 202:
        raise CheckFailedError(_not_stored(answer.status))
    return _absolute(outputs, answer.headers["location"])


def _cancel(outputs: StackOutputs, upload: str) -> None:
    request(_absolute(outputs, upload), authorization(outputs, SCOPE), "DELETE")


def _absolute(outputs: StackOutputs, location: str) -> str:
    return location if location.startswith("http") else f"{outputs.url}{location}"


def _headers(outputs: StackOutputs) -> Mapping[str, str]:
    return {**authorization(outputs, SCOPE), "Content-Type": "application/octet-stream"}


def _trickle(seconds: int) -> Iterator[bytes]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield b"\0" * 1024
        time.sleep(0.5)


def _not_stored(answer: object) -> str:
    return (
        f"a small upload isn't stored ({answer}), so every push fails. The registry's log says why"
        " (make logs STACK=…); mostly the disk of its volume is full or read-only (df -h on the"
        " node that `pulumi stack output node` names), or the object store lets it read alone"
    )


def _cut_off(seconds: float) -> str:
    return (
        f"an upload was cut off after {seconds:.0f} s, as pushes of large images will be: the main"
        " Traefik needs --entrypoints.NAME.transport.respondingTimeouts.readTimeout=0s for the"
        " entry point of HTTPS (its default is 60 s, and no label can change it)"
    )
