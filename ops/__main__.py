"""`python3 -m ops COMMAND`: what the Makefile calls, which hands on its variables as they are."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ops import (
    checks,
    doctor,
    engine,
    history,
    images,
    recover,
    review,
    stack,
    state,
    toolchain,
    virtualenv,
)
from ops.console import Problem, main, one_at_a_time
from ops.toolchain import ROOT


def _build(_: argparse.Namespace) -> None:
    images.ensure(engine.ensure().host)


def _exports(_: argparse.Namespace) -> None:
    print(stack.exports(stack.environment()), end="")


def _tools(_: argparse.Namespace) -> None:
    for part in (virtualenv.ensure, toolchain.ensure):
        os.environ.update(part())
    toolchain.install_plugins()


def _env(args: argparse.Namespace) -> None:
    given = {"NAME": args.name, "FROM": args.source, "DOMAIN": args.domain}
    if missing := [f"{key}=…" for key, value in given.items() if not value]:
        example = "make env NAME=preprod FROM=stag DOMAIN=preprod.registry.example.com"
        raise Problem(f"{' and '.join(missing)} missing; such as: {example}")
    virtualenv.become("ops.environments", args.name, args.source, args.domain)


def _adopt(args: argparse.Namespace) -> None:
    if not args.source:
        raise Problem("FROM=… missing: the swarm stack or compose project that runs the registry")
    virtualenv.become("ops.adopt", args.stack, args.source, args.logins or "")


def _recover(args: argparse.Namespace) -> None:
    state.set_aside_without_passphrase()
    stack.environment()
    recover.recover(args.stack)


def _with_environment(act: Callable[[argparse.Namespace], None]) -> Callable[..., None]:
    def run(args: argparse.Namespace) -> None:
        stack.environment()
        act(args)

    return run


@dataclass(frozen=True)
class Command:
    """A command, and the variables that it reads."""

    act: Callable[[argparse.Namespace], None]
    variables: Sequence[str] = ("STACK",)


COMMANDS: dict[str, Command] = {
    "up": Command(lambda _: stack.up(), ()),
    "build": Command(_build, ()),
    "exports": Command(_exports, ()),
    "tools": Command(_tools, ()),
    "lock": Command(lambda _: virtualenv.lock(), ()),
    "bench": Command(lambda _: checks.bench(), ()),
    "test": Command(lambda _: checks.run_all(), ()),
    "deploy": Command(_with_environment(lambda args: stack.deploy(args.stack))),
    "preview": Command(
        _with_environment(lambda args: stack.preview(args.stack, args.format)), ("STACK", "FORMAT")
    ),
    "drift": Command(_with_environment(lambda args: review.drift(args.stack).tell())),
    "deployed": Command(_with_environment(lambda args: print(history.deployed_commit(args.stack)))),
    "down": Command(_with_environment(lambda args: stack.down(args.stack))),
    "recover": Command(_recover),
    "adopt": Command(_with_environment(_adopt), ("STACK", "FROM", "LOGINS")),
    "env": Command(_with_environment(_env), ("NAME", "FROM", "DOMAIN")),
    "doctor": Command(
        _with_environment(lambda args: stack.doctor_of(args.stack, args.slow)), ("STACK", "SLOW")
    ),
    "mirrors": Command(_with_environment(lambda args: stack.mirrors(args.stack))),
    "logs": Command(
        _with_environment(lambda args: stack.logs(args.stack, bool(args.follow))),
        ("STACK", "FOLLOW"),
    ),
}


CHANGING = ("up", "deploy", "down", "recover", "adopt", "env")
"""Commands that two at once in one checkout would spoil for each other."""


def arguments(words: Sequence[str], variables: Mapping[str, str]) -> argparse.Namespace:
    """Return the command in `words`, with the values of those `variables` that it reads.

    Values come through the environment: no shell reads them, whatever is in them.
    """
    parser = argparse.ArgumentParser(prog="make", usage="make COMMAND VARIABLE=VALUE…")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--stack", default=stack.LOCAL)
    parser.add_argument("--slow", type=int, default=doctor.SLOW_SECONDS)
    parser.add_argument("--name")
    parser.add_argument("--from", dest="source")
    parser.add_argument("--domain")
    parser.add_argument("--logins", choices=("keep", "new"))
    parser.add_argument("--follow")
    formats = ("terminal", "markdown", "comment")
    parser.add_argument("--format", choices=formats, default="terminal")
    command = COMMANDS[parser.parse_args(words).command]
    given = [
        f"--{name.lower()}={value}" for name in command.variables if (value := variables.get(name))
    ]
    return parser.parse_args([*words, *given])


def _run() -> None:
    args = arguments(sys.argv[1:], os.environ)
    with one_at_a_time(ROOT) if args.command in CHANGING else contextlib.nullcontext():
        COMMANDS[args.command].act(args)


if __name__ == "__main__":
    main(_run)
