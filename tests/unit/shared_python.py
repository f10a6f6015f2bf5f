"""Python in a process of its own, for what is true of one that has just begun."""

from __future__ import annotations

import subprocess
import sys

from ops.bootstrap import ROOT


def printed_by_python(code: str, *flags: str) -> str:
    """Return all that a Python in the project's folder prints, errors too, when it runs `code`."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout
