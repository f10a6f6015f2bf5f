"""The checks of a deployed registry, in order, as a client on this machine sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ops.bootstrap.console import UserError, say
from ops.doctor import access, connection, uploads
from ops.doctor.request import NO_ANSWER, CheckFailedError
from ops.outputs import StackOutputs

SLOW_SECONDS = 70
"""Default duration of the slow upload: more than the 60 s after which a Traefik with its default
settings cuts off an upload."""


def _is_https(outputs: StackOutputs) -> bool:
    return outputs.is_https


def _has_login(outputs: StackOutputs) -> bool:
    return bool(outputs.password)


def _has_dashboard(outputs: StackOutputs) -> bool:
    # Without HTTPS it is the one of a developer's machine, which asks for no login.
    return outputs.is_https and bool(outputs.dashboard)


def _is_browsed(outputs: StackOutputs) -> bool:
    return outputs.is_https and _has_login(outputs)


@dataclass(frozen=True)
class Check:
    """One check of a deployed registry."""

    name: str
    """Beginning of the message for an error that the check doesn't explain."""
    run: Callable[[StackOutputs], str]
    """Return the finding; raise `CheckFailedError`."""
    applies: Callable[[StackOutputs], bool] = lambda _: True
    """Return whether the deployment has what is checked."""
    is_needed: bool = False
    """The checks after it would fail for the same reason."""


CHECKS: Sequence[Check] = (
    Check("name", connection.name, is_needed=True),
    Check("certificate", connection.certificate, _is_https, is_needed=True),
    Check("TLS versions", connection.protocols, _is_https),
    Check("redirect", connection.redirect, connection.answers_http),
    Check("login", access.login),
    Check("small upload", uploads.small_upload, _has_login),
    Check("headers", access.headers, _is_browsed),
    Check("dashboard", access.dashboard, _has_dashboard),
)
"""Checks that take no longer than their requests."""


def examine(outputs: StackOutputs, slow_seconds: int = SLOW_SECONDS) -> None:
    """Print the finding of each check that applies; raise UserError when one of them fails.

    The slow upload takes `slow_seconds`, and is left out with 0 or when a check has failed.
    """
    print(f"{outputs.url}, seen from this machine")
    failed = False
    for check in CHECKS:
        if check.applies(outputs) and not _passes(check, outputs):
            failed = True
            if check.is_needed:
                break
    if slow_seconds and _has_login(outputs) and not failed:
        say(f"  …     an upload of {slow_seconds} s is under way")
        slow = Check("slow upload", partial(uploads.slow_upload, seconds=slow_seconds))
        failed = not _passes(slow, outputs)
    if failed:
        raise UserError("what is marked as wrong above")


def _passes(check: Check, outputs: StackOutputs) -> bool:
    try:
        print(f"  ok    {check.run(outputs)}", flush=True)
    except CheckFailedError as failure:
        print(f"  wrong {failure}", flush=True)
        return False
    except NO_ANSWER as error:
        print(f"  wrong {check.name}: {error or type(error).__name__}", flush=True)
        return False
    return True
