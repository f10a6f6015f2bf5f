"""The `pulumi` command as people see it: its own output, and an orderly end on Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping

from ops.bootstrap.console import Terminated, UserError


def pulumi(*args: str, env: Mapping[str, str] | None = None) -> None:
    """Run `pulumi ARGS`, with `env` on top of ours; raise UserError when it fails.

    Pulumi's own output is the best report there is, of progress and of errors. On Ctrl-C Pulumi
    finishes what it is at, notes it in the state and gives its lock back; a second one ends it
    at once. Either way it is waited for.
    """
    with subprocess.Popen(["pulumi", *args], env={**os.environ, **(env or {})}) as process:
        interruption: KeyboardInterrupt | None = None
        while True:
            try:
                # No time limit: registry:deployTimeout is that of each service.
                code = process.wait()
                break
            except Terminated as termination:
                # Unlike Ctrl-C in a terminal, this reached nobody but us.
                process.send_signal(signal.SIGINT)
                interruption = termination
            except KeyboardInterrupt as ctrl_c:
                interruption = ctrl_c
    if interruption:
        raise interruption
    if code != 0:
        raise UserError(f"`pulumi {args[0]}` failed; its messages are above")
