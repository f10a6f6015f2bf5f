"""`python -m ops.settings_check STACK`: what is wrong with a stack's settings; asks no engine.

Runs in the project's virtual environment, for the settings' own rules.
"""

from __future__ import annotations

import json
import sys

import pulumi

from ops.bootstrap import ROOT
from ops.bootstrap.console import Problem, main, run
from settings import parse
from settings.stack_file import config_of


def wrong(stack: str) -> str | None:
    """Return all that is wrong with the settings of `stack`, or None."""
    entries = json.loads(run(["pulumi", "config", "--json", "--show-secrets", "--stack", stack]))
    values = {key: entry.get("value", "") for key, entry in entries.items()}
    try:
        parse(
            values,
            lambda key: bool(entries.get(key, {}).get("secret")),
            stack,
            config_of(stack, ROOT),
        )
    except pulumi.RunError as error:
        return str(error)
    return None


def _check() -> None:
    if text := wrong(sys.argv[1]):
        raise Problem(text)


if __name__ == "__main__":
    main(_check)
