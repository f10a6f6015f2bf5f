"""The line that says whether clients get an answer."""

from __future__ import annotations

from ops.doctor import access
from ops.doctor.request import NO_ANSWER, CheckFailedError
from ops.status.line import Line
from ops.status.snapshot import Deployed


def answer_lines(stack: Deployed) -> list[Line]:
    """Return a line with what the registry answers to strangers, and to the first user."""
    try:
        return [Line(title="answer", state="ok", text=access.login(stack.outputs))]
    except CheckFailedError as failure:
        reason = str(failure)
    except NO_ANSWER as error:
        reason = f"{stack.outputs.url} gives none to this machine: {error or type(error).__name__}"
    command = f"make doctor STACK={stack.stack}"
    return [Line(title="answer", state="wrong", text=reason, commands=(command,))]
