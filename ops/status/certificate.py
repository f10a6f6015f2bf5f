"""The line about the certificate that clients get."""

from __future__ import annotations

from datetime import timedelta

from ops.doctor.connection import read_certificate
from ops.doctor.request import CheckFailedError
from ops.quantities import span
from ops.status.line import Line, State, stamp
from ops.status.snapshot import Deployed

WARNING_PART, WRONG_PART = 8, 30
"""A certificate that has less than such a part of its life left is late: Traefik renews one of 90
days when 30 are left, and one of 7 days when 1 is."""
LONGEST_WARNING, LONGEST_WRONG = timedelta(days=14), timedelta(days=3)
"""Nobody needs to hear of it earlier, however long its life is."""


def certificate_lines(stack: Deployed) -> list[Line]:
    """Return a line with the end of the certificate."""
    if not stack.outputs.is_https:
        return [_line("off", "none: the registry is reached over plain HTTP")]
    try:
        certificate = read_certificate(stack.outputs)
    except CheckFailedError as failure:
        return [_line("wrong", str(failure), f"make doctor STACK={stack.stack}")]
    left, life = certificate.end - stack.now, certificate.end - certificate.begin
    state: State = "ok"
    if left < min(life / WARNING_PART, LONGEST_WARNING):
        state = "warning"
    if left < min(life / WRONG_PART, LONGEST_WRONG):
        state = "wrong"
    text = f"by {certificate.issuer}, ends {certificate.end:%Y-%m-%d}, in {span(left)}"
    advice, commands = ("", ()) if state == "ok" else _remedy(stack)
    return [
        Line(
            title="certificate",
            state=state,
            text=f"{text}{advice}",
            commands=commands,
            facts={"end": stamp(certificate.end), "seconds": int(left.total_seconds())},
        )
    ]


def _remedy(stack: Deployed) -> tuple[str, tuple[str, ...]]:
    """Return who has to renew the certificate, and what to type for it."""
    if stack.config.brings_certificate:
        command = f"pulumi config set --stack {stack.stack} registry:certificate NEW.pem"
        return ": deploy a new one", (command,)
    if f"{stack.config.swarm_stack}_proxy" in stack.services and not stack.outputs.external_https:
        text = ": it should have been renewed by now; Traefik's log says why it wasn't"
        return text, (f"make logs STACK={stack.stack}",)
    return ": what is in front of the registry should have renewed it by now", ()


def _line(state: State, text: str, *commands: str) -> Line:
    return Line(title="certificate", state=state, text=text, commands=commands)
