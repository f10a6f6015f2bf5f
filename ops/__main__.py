"""`python3 -m ops COMMAND`: what the Makefile calls, which hands on its variables as they are."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops import checks, doctor, history, recover, review, stack
from ops.bootstrap import ROOT, engine, images, state, toolchain, virtualenv
from ops.bootstrap.console import Problem, main, one_at_a_time


def _build(_: argparse.Namespace) -> None:
    images.ensure(engine.ensure().host)


def _exports(_: argparse.Namespace) -> None:
    print(stack.exports(stack.environment()), end="")


def _tools(_: argparse.Namespace) -> None:
    for part in (virtualenv.ensure, toolchain.ensure):
        os.environ.update(part())
    toolchain.install_plugins()


def _docs(_: argparse.Namespace) -> None:
    os.environ.update(virtualenv.ensure())
    virtualenv.become("ops.documentation")


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


VARIABLES: dict[str, dict[str, Any]] = {
    "STACK": {"default": stack.LOCAL, "help": "name of the stack; %(default)s unless given"},
    "FORMAT": {
        "choices": ("terminal", "markdown", "comment"),
        "default": "terminal",
        "help": "comment: Markdown, put on the pull request or merge request that CI runs for",
    },
    "SLOW": {
        "type": int,
        "default": doctor.SLOW_SECONDS,
        "help": "seconds that the slow upload takes; %(default)s unless given",
    },
    "FOLLOW": {"help": "1: go on reading until Ctrl-C"},
    "NAME": {"help": "name of the new stack"},
    "FROM": {
        "dest": "source",
        "help": "env: the stack to copy; adopt: the swarm stack or compose project that runs",
    },
    "DOMAIN": {"help": "host name of the new stack's registry"},
    "LOGINS": {
        "choices": ("keep", "new"),
        "help": "of a registry that has some: keep them, or generate a new one",
    },
    "ARGS": {"default": "", "help": "for pytest: '-k mirrors', or tests/unit/test_ops.py"},
}
"""What a command may be given, by its name for make; argparse has the name in lower case."""


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
    "docs": Command(_docs, ()),
    "lock": Command(lambda _: virtualenv.lock(), ()),
    "bench": Command(lambda _: checks.bench(), ()),
    "check": Command(lambda args: checks.check(args.args), ("ARGS",)),
    "fmt": Command(lambda _: checks.format_code(), ()),
    "test": Command(lambda args: checks.run_all(args.args), ("ARGS",)),
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m ops", epilog="`make help` groups them.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    lines = re.findall(r"^([a-z]+):.*## (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    summaries = dict(lines)
    for name, command in COMMANDS.items():
        summary = summaries[name].replace("%", "%%")
        words = "".join(f" [{variable}=…]" for variable in command.variables)
        options = "".join(f" [--{variable.lower()} …]" for variable in command.variables)
        one = commands.add_parser(
            name,
            help=summary,
            description=summary,
            usage=f"make {name}{words}\n       python3 -m ops {name}{options}",
            allow_abbrev=False,
        )
        for variable in command.variables:
            about = VARIABLES[variable]
            metavar = "|".join(about.get("choices", (variable,)))
            one.add_argument(f"--{variable.lower()}", metavar=metavar, **about)
    return parser


def arguments(words: Sequence[str], variables: Mapping[str, str]) -> argparse.Namespace:
    """Return the command in `words`, with the values of those `variables` that it reads.

    Values come through the environment: no shell reads them, whatever is in them. What `words` say
    themselves comes first.
    """
    command = COMMANDS.get(words[0]) if words else None
    given = [
        f"--{name.lower()}={value}"
        for name in (command.variables if command else ())
        if (value := variables.get(name))
    ]
    return _parser().parse_args([*words[:1], *given, *words[1:]])


def _run() -> None:
    args = arguments(sys.argv[1:], os.environ)
    with one_at_a_time(ROOT) if args.command in CHANGING else contextlib.nullcontext():
        COMMANDS[args.command].act(args)


if __name__ == "__main__":
    main(_run)
