"""`make login`: this machine's docker logs in to the registry, or the line for another machine."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from ops.bootstrap.console import UserError, run, say
from ops.outputs import StackOutputs
from ops.stack import Stack

PICK = "import json, sys; print(json.load(sys.stdin)[sys.argv[1]])"
"""Program that prints the password of the user it is given."""


def login(stack: Stack, user: str | None, *, prints: bool) -> None:
    """Log this machine's docker in, as `user` or the first one; or print what does elsewhere.

    The password is that of the last deployment.
    """
    stack.ensure()
    outputs = stack.outputs
    name, hashed = _choose_user(outputs, user), frozenset[str]()
    if name not in outputs.passwords:
        hashed = frozenset({*stack.settings.login.hashes, *stack.settings.hashed_passwords})
    if prints:
        _print_line(stack.name, outputs, name, hashed)
    else:
        _log_in(outputs, name, hashed)


def _choose_user(outputs: StackOutputs, user: str | None) -> str:
    """Return the user that shall log in: by default the first one."""
    if name := user or outputs.username:
        return name
    raise UserError("USER=… missing: of no user the program knows the password")


def _log_in(outputs: StackOutputs, user: str, hashed: Collection[str]) -> None:
    """Log this machine's docker in; `hashed` are users of whom a hash alone is known."""
    _require_user(outputs, user, hashed)
    if user in hashed:
        raise UserError(
            f"of {user} a hash alone is known here, so docker has to ask for the password:"
            f"\n      {_line_with_prompt(outputs, user)}"
        )
    # Neither a command line nor a file of ours has the password in it.
    run(_command(outputs, user), stdin=outputs.passwords[user])
    say(f"docker on this machine is logged in to {outputs.address} as {user}")


def _print_line(stack: str, outputs: StackOutputs, user: str, hashed: Collection[str]) -> None:
    """Print what logs another machine in, over ssh, with no password in it."""
    _require_user(outputs, user, hashed)
    if user in hashed:
        print(f"ssh -t HOST {shlex.quote(_line_with_prompt(outputs, user))}")
        return
    say('`pulumi` is there after: eval "$(make -s exports)"')
    output = ["pulumi", "stack", "output", "passwords", "--json", "--show-secrets"]
    print(
        f"{shlex.join([*output, '--stack', stack])} |\n"
        f"  {shlex.join(['python3', '-c', PICK, user])} |\n"
        f"  ssh HOST {shlex.quote(shlex.join(_command(outputs, user)))}"
    )


def _require_user(outputs: StackOutputs, user: str, hashed: Collection[str]) -> None:
    if user not in outputs.passwords and user not in hashed:
        known = ", ".join([*outputs.passwords, *hashed])
        raise UserError(
            f"USER={user}: the registry that is deployed has no such user; it has {known}"
        )


def _command(outputs: StackOutputs, user: str) -> list[str]:
    return ["docker", "login", "--username", user, "--password-stdin", outputs.address]


def _line_with_prompt(outputs: StackOutputs, user: str) -> str:
    return shlex.join(["docker", "login", "--username", user, outputs.address])
