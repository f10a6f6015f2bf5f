"""`python3 -m ops COMMAND`: what the Makefile calls, which hands on its variables as they are.

This file runs on the machine's own Python, with the standard library alone. It makes the virtual
environment, and all commands but a few go on in there: `ops/commands.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ops import checks
from ops.bootstrap import ROOT, engine, environment, images, publish, toolchain, virtualenv
from ops.bootstrap.console import UserError, main, one_at_a_time, say
from ops.bootstrap.environment import LOCAL


def _exports() -> None:
    print(environment.exports(environment.process_env()), end="")


def _build(push: str | None) -> None:
    if push:
        publish.push(push)
        return
    host = engine.ensure()
    images.ensure(host)
    if shutil.which("go"):
        images.ensure_tools(host)
    else:
        say("the image for registry:auth token isn't built: that takes Go (go.dev/doc/install)")


def _tools() -> None:
    for part in (virtualenv.ensure, toolchain.ensure):
        os.environ.update(part())
    toolchain.install_plugins()


def _seconds(text: str) -> int:
    """Return a number of seconds that a check may take."""
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, up to 99999")
    return int(text)


VARIABLES: dict[str, dict[str, Any]] = {
    "STACK": {"default": LOCAL, "help": "name of the stack; %(default)s unless given"},
    "FORMAT": {
        "choices": ("terminal", "markdown", "comment"),
        "default": "terminal",
        "help": "comment: Markdown, put on the pull request or merge request that CI runs for",
    },
    "SLOW": {
        "type": _seconds,
        "help": "seconds that the slow upload takes; unless given, longer than many proxies wait",
    },
    "FOLLOW": {"choices": ("1",), "help": "1: go on reading until Ctrl-C"},
    "NAME": {"help": "name of the new stack"},
    "FROM": {
        "dest": "source",
        "help": "env: the stack to copy; adopt: the swarm stack or compose project that runs;"
        " restore: where the backup is; clone: the stack that has the images",
    },
    "DOMAIN": {"help": "host name of the new stack's registry"},
    "LOGINS": {
        "choices": ("keep", "new"),
        "help": "of a registry that has some: keep them, or generate a new one",
    },
    "USER": {"help": "login: the first user, unless given; rotate: whose password"},
    "OVERLAP": {"help": "how long the old password counts, such as 90m or 7d; 24h unless given"},
    "KEY": {"choices": ("1",), "help": "1: another key to sign tokens with, in three deployments"},
    "PRINT": {"choices": ("1",), "help": "1: print what logs another machine in"},
    "DRY": {"choices": ("1",), "help": "1: show what would go, change nothing"},
    "UNDO": {"help": "1: bring back what the last run put aside; or the name of a run"},
    "LIST": {
        "choices": ("1",),
        "help": "1: how the last run ended, and what UNDO, or restore, can bring back",
    },
    "TO": {
        "help": "backup: s3://bucket/prefix, volume:name, or a folder of the images' node;"
        " that of registry:backup unless given; clone: the stack that gets the images"
    },
    "VERIFY": {"choices": ("1",), "help": "1: read all backups, and name what is broken"},
    "GENERATION": {"help": "time of the backup, as LIST=1 shows it; the last unless given"},
    "OVERWRITE": {"choices": ("1",), "help": "1: also tags that name something else by now"},
    "SECRETS": {
        "help": "file with the secrets of a backup: they come into the stack's file, and no images"
    },
    "PASSPHRASE_FILE": {
        "help": "file with the passphrase of SECRETS; it is asked for, unless given"
    },
    "NODE": {
        "help": "host name or id of the node that the images go to; without it they go to the"
        " storage that the settings name"
    },
    "PUSH": {"help": "registry, with a path, to push registry-tools to, such as ghcr.io/acme"},
    "ONLY": {"default": "", "help": "one section: control, load or move, for example"},
    "ARGS": {"default": "", "help": "for pytest: '-k mirrors', or tests/unit/test_ops.py"},
}
"""Arguments of commands, by their names for make; argparse has the names in lower case."""

OTHERWISE: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("status", "FORMAT"): {"choices": ("terminal", "json"), "help": "json: for scripts"},
    ("backup", "SECRETS"): {
        "choices": ("1",),
        "help": "1: the stack's secrets as well, encrypted with a passphrase",
    },
}
"""Parts of an argument that one command has otherwise."""

ENVIRONMENT: Mapping[str, str] = {"USER": "LOGIN_USER"}
"""Names that variables have in the environment, where those are others: a shell's own USER is
whoever types."""

OF_ALL = ("YES", "CHECK")
"""Variables that are no arguments: whoever asks, or checks, reads them from the environment."""
TYPED = "TYPED"
"""Variable of the environment with the names of those that were typed for make."""

COMMANDS: Mapping[str, Sequence[str]] = {
    "up": (),
    "build": ("PUSH",),
    "exports": (),
    "tools": (),
    "docs": (),
    "lock": (),
    "bench": ("ONLY",),
    "check": ("ARGS",),
    "fmt": (),
    "test": ("ARGS",),
    "deploy": ("STACK",),
    "preview": ("STACK", "FORMAT"),
    "drift": ("STACK",),
    "deployed": ("STACK",),
    "down": ("STACK",),
    "recover": ("STACK",),
    "adopt": ("STACK", "FROM", "LOGINS"),
    "env": ("NAME", "FROM", "DOMAIN"),
    "status": ("STACK", "FORMAT"),
    "outdated": ("STACK",),
    "doctor": ("STACK", "SLOW"),
    "users": ("STACK",),
    "login": ("USER", "STACK", "PRINT"),
    "rotate": ("USER", "OVERLAP", "KEY", "STACK"),
    "mirrors": ("STACK",),
    "gc": ("STACK", "DRY", "UNDO", "LIST"),
    "retention": ("STACK", "DRY"),
    "backup": ("STACK", "TO", "VERIFY", "LIST", "SECRETS", "PASSPHRASE_FILE"),
    "restore": ("STACK", "FROM", "GENERATION", "OVERWRITE", "SECRETS", "PASSPHRASE_FILE"),
    "clone": ("FROM", "TO"),
    "move": ("NODE", "STACK"),
    "logs": ("STACK", "FOLLOW"),
}
"""Commands, and the variables that each reads."""
BARE: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "build": lambda args: _build(args.push),
    "exports": lambda _: _exports(),
    "tools": lambda _: _tools(),
    "lock": lambda _: virtualenv.lock(),
    "bench": lambda args: checks.bench(args.only),
    "check": lambda args: checks.check(args.args),
    "fmt": lambda _: checks.format_code(),
    "test": lambda args: checks.run_all(args.args),
}
"""Functions of the commands that need no package beside the standard library."""
CHANGING = ("up", "deploy", "down", "recover", "adopt", "env", "rotate", "move")
"""Commands that two at once in one checkout would spoil for each other."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m ops", epilog="`make help` groups them.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    lines = re.findall(r"^([a-z]+):.*## (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    summaries = dict(lines)
    for name, variables in COMMANDS.items():
        summary = summaries[name].replace("%", "%%")
        assignments = "".join(f" [{variable}=…]" for variable in variables)
        options = "".join(f" [--{variable.lower()} …]" for variable in variables)
        one = commands.add_parser(
            name,
            help=summary,
            description=summary,
            usage=f"make {name}{assignments}\n       python3 -m ops {name}{options}",
            allow_abbrev=False,
        )
        for variable in variables:
            about = {**VARIABLES[variable], **OTHERWISE.get((name, variable), {})}
            metavar = "|".join(about.get("choices", (variable,)))
            one.add_argument(f"--{variable.lower()}", metavar=metavar, **about)
    return parser


def arguments(argv: Sequence[str], variables: Mapping[str, str]) -> argparse.Namespace:
    """Return the command in `argv`, with the values of those `variables` that it reads.

    Values come through the environment: no shell reads them, whatever is in them. What `argv` say
    themselves comes first.
    """
    given = [
        f"--{name.lower()}={value}"
        for name in COMMANDS.get(argv[0] if argv else "", ())
        if (value := variables.get(ENVIRONMENT.get(name, name)))
    ]
    return _parser().parse_args([*argv[:1], *given, *argv[1:]])


def refuse_strange(command: str, typed: Sequence[str]) -> None:
    """Raise UserError for a variable, typed for make, that the command would leave out.

    What is neither another command's, nor nearly one of this command's, is for other programs, such
    as SSL_CERT_FILE.
    """
    known = COMMANDS.get(command, ())
    for name in typed:
        near = difflib.get_close_matches(name.upper(), known, 1)
        if name in (*known, *OF_ALL) or not (name in VARIABLES or near):
            continue
        hint = f" Did you mean {near[0]}?" if near else ""
        there = f"it has {', '.join(known)}" if known else "it has none"
        raise UserError(f"{name}=… is no variable of `make {command}`: {there}.{hint}")


def _run() -> None:
    # Once: neither this program in its own Python nor another command inherits it.
    refuse_strange("".join(sys.argv[1:2]), os.environ.pop(TYPED, "").split())
    args = arguments(sys.argv[1:], os.environ)
    if act := BARE.get(args.command):
        return act(args)
    os.environ.update(virtualenv.ensure())
    virtualenv.enter(*sys.argv[1:])
    # Only there are the packages that these need.
    from ops.commands import ACTIONS

    with one_at_a_time(ROOT) if args.command in CHANGING else contextlib.nullcontext():
        return ACTIONS[args.command](args)


if __name__ == "__main__":
    main(_run)
