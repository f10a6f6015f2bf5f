"""`python3 -m ops COMMAND`: what the Makefile calls."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable

from ops import adopt, checks, doctor, engine, images, recover, review, stack, state, virtualenv
from ops.console import Problem, main, one_at_a_time
from ops.toolchain import ROOT


def _build(_: argparse.Namespace) -> None:
    images.ensure(engine.ensure().host)


def _exports(_: argparse.Namespace) -> None:
    print(stack.exports(stack.environment()), end="")


def _env(args: argparse.Namespace) -> None:
    given = {"NAME": args.name, "FROM": args.source, "DOMAIN": args.domain}
    if missing := [f"{key}=…" for key, value in given.items() if not value]:
        example = "make env NAME=preprod FROM=stag DOMAIN=preprod.registry.example.com"
        raise Problem(f"{' and '.join(missing)} missing; such as: {example}")
    virtualenv.become("ops.environments", args.name, args.source, args.domain)


def _adopt(args: argparse.Namespace) -> None:
    if not args.source:
        raise Problem("FROM=… missing: the swarm stack or compose project that runs the registry")
    adopt.adopt(args.stack, args.source, args.logins == "keep")


def _recover(args: argparse.Namespace) -> None:
    state.set_aside_without_passphrase()
    stack.environment()
    recover.recover(args.stack)


def _with_environment(act: Callable[[argparse.Namespace], None]) -> Callable[..., None]:
    def run(args: argparse.Namespace) -> None:
        stack.environment()
        act(args)

    return run


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "up": lambda _: stack.up(),
    "build": _build,
    "exports": _exports,
    "bench": lambda _: checks.bench(),
    "test": lambda _: checks.run_all(),
    "deploy": _with_environment(lambda args: stack.deploy(args.stack)),
    "preview": _with_environment(lambda args: stack.preview(args.stack, args.format)),
    "drift": _with_environment(lambda args: review.drift(args.stack).tell()),
    "down": _with_environment(lambda args: stack.down(args.stack)),
    "recover": _recover,
    "adopt": _with_environment(_adopt),
    "env": _with_environment(_env),
    "doctor": _with_environment(lambda args: stack.doctor_of(args.stack, args.slow)),
    "mirrors": _with_environment(lambda args: stack.mirrors(args.stack)),
    "logs": _with_environment(lambda args: stack.logs(args.stack, args.follow)),
}


CHANGING = ("up", "deploy", "down", "recover", "adopt", "env")
"""Commands that two at once in one checkout would spoil for each other."""


def _run() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m ops")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--stack", default=os.environ.get("STACK") or stack.LOCAL)
    parser.add_argument("--slow", type=int, default=doctor.SLOW_SECONDS)
    parser.add_argument("--name")
    parser.add_argument("--from", dest="source")
    parser.add_argument("--domain")
    parser.add_argument("--logins", choices=("", "keep"), default="")
    parser.add_argument("--follow", action="store_true")
    formats = ("terminal", "markdown", "comment")
    parser.add_argument("--format", choices=formats, default="terminal")
    args = parser.parse_args()
    with one_at_a_time(ROOT) if args.command in CHANGING else contextlib.nullcontext():
        COMMANDS[args.command](args)


main(_run)
