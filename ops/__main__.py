"""`python3 -m ops COMMAND`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from ops import checks, engine, images, review, stack
from ops.console import main


def _build(_: argparse.Namespace) -> None:
    images.ensure(engine.ensure().host)


def _env(_: argparse.Namespace) -> None:
    print(stack.exports(stack.environment()), end="")


def _with_environment(act: Callable[[argparse.Namespace], None]) -> Callable[..., None]:
    def run(args: argparse.Namespace) -> None:
        stack.environment()
        act(args)

    return run


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "up": lambda _: stack.up(),
    "build": _build,
    "env": _env,
    "test": lambda _: checks.run_all(),
    "deploy": _with_environment(lambda args: stack.deploy(args.stack)),
    "preview": _with_environment(lambda args: stack.preview(args.stack, args.format)),
    "drift": _with_environment(lambda args: review.drift(args.stack).tell()),
    "down": _with_environment(lambda args: stack.down(args.stack)),
    "logs": _with_environment(lambda args: stack.logs(args.stack, args.follow)),
}


def _run() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m ops")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--stack", default=os.environ.get("STACK") or stack.LOCAL)
    parser.add_argument("--follow", action="store_true")
    formats = ("terminal", "markdown", "comment")
    parser.add_argument("--format", choices=formats, default="terminal")
    args = parser.parse_args()
    COMMANDS[args.command](args)


main(_run)
