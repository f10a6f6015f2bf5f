"""`make rotate`: another password of a user, or another key that signs tokens, by deployments.

What there is to do follows from the settings alone, so that a rotation that was interrupted goes
on where it was.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from components.credentials import FIRST_VERSION, PasswordVersion
from components.token_server import TokenServerOptions
from ops import inventory
from ops.bootstrap.console import UserError, run, say
from ops.users import moment
from settings import Settings
from settings.stack_file import path_of

if TYPE_CHECKING:
    from ops.stack import Stack

DEFAULT_OVERLAP = "24h"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds of the units of an overlap."""
LEEWAY_SECONDS = 60
"""Time for which the registry takes a token after its end: clocks may be apart."""
PAUSE_SECONDS = 30
"""Pause beyond that: the last token of the old key was made while its tasks went."""


def overlap_seconds(text: str | None) -> int:
    """Return the seconds of an overlap such as `24h`; a UserError when it isn't one."""
    text = text or DEFAULT_OVERLAP
    if not (match := re.fullmatch(r"(\d{1,6})([smhd])", text)):
        raise UserError(f"OVERLAP={text}: a number of s, m, h or d, such as {DEFAULT_OVERLAP}")
    return int(match[1]) * UNITS[match[2]]


def rotate_password(stack: Stack, user: str, overlap: int, now: datetime) -> None:
    """Deploy a new password of `user`; the old one counts for `overlap` seconds more."""
    settings = stack.settings
    until = moment(now + timedelta(seconds=overlap))
    _server(stack, settings)
    if user in settings.login.hashes:
        raise UserError(
            f"of {user} a hash alone is known: the hash of another password takes its place, as"
            f"\n      pulumi config set --stack {stack.name} --path --secret"
            f" {_quoted_path('hashedPasswords', user)}"
        )
    if user not in settings.login.users:
        raise UserError(f"USER={user}: registry:users has {', '.join(settings.login.users)}")
    if user in settings.login.passwords:
        raise UserError(_by_hand(stack.name, user, until))
    _require_deployable(stack)
    versions = settings.login.versions.get(user) or [FIRST_VERSION]
    new = {**settings.login.versions, user: next_versions(versions, until, now)}
    _write(stack, "passwordVersions", {name: list(map(_as_setting, new[name])) for name in new})
    say(f"{user}: a new password, and until {until} the one before")
    try:
        _deploy(stack)
    except UserError as problem:
        # Another rotation would be one more.
        more = f"the new password is in the settings: make deploy STACK={stack.name} goes on"
        raise UserError(f"{problem}; {more}") from None
    say(f"{user}'s new password logs in: make login USER={shlex.quote(user)} STACK={stack.name}")


def next_versions(
    versions: Sequence[PasswordVersion], until: str, now: datetime
) -> list[PasswordVersion]:
    """Return a new version and, `until` then at the latest, those before that still count."""
    numbers = [int(each.version) for each in versions if each.version.isdecimal()]
    newest = versions[0].version
    # Never one of before, whose password others may know; those that ended aren't listed.
    version = str(max(numbers) + 1) if newest.isdecimal() else now.strftime("%Y%m%d%H%M%S")
    current = [each for each in versions if each.until is None or each.until > moment(now)]
    return [
        PasswordVersion(version=version),
        *(replace(each, until=min(each.until or until, until)) for each in current),
    ]


def _as_setting(version: PasswordVersion) -> Mapping[str, str]:
    """Return a version as the settings have it."""
    end = {"until": version.until} if version.until else {}
    return {"version": version.version} | end


def _by_hand(stack: str, user: str, until: str) -> str:
    # Pulumi takes many a moment for a secret, below such a key.
    plain, secret = (
        f"pulumi config set --stack {stack} --path --{kind}" for kind in ("plaintext", "secret")
    )
    return (
        f"{user}'s password was given, so you give the new one; type:"
        f"\n      {secret} {_quoted_path('formerPasswords', user, 'password')}   # the one of now"
        f"\n      {plain} {_quoted_path('formerPasswords', user, 'until')} {until}"
        f"\n      {secret} {_quoted_path('passwords', user)}   # the new one"
        f"\n      make deploy STACK={stack}"
    )


def _quoted_path(*steps: str) -> str:
    """Return a path below the settings, for a shell."""
    return shlex.quote(f"registry:{path_of(*steps)}")


def rotate_key(stack: Stack, sleep: Callable[[float], None] = time.sleep) -> None:
    """Deploy another key that signs tokens, in three deployments; none fails a request.

    First the registry learns the new key, then the token server signs with it, and once no token
    of the old one counts, the registry forgets that.
    """
    server = _server(stack, stack.settings)
    keys, is_deployed = list(server.signing_keys), False
    if not all(key.isdecimal() for key in keys) or len(keys) > 2:
        raise UserError(
            f"registry:signingKeys is {', '.join(keys)}: only one key with a number for a name, or"
            " two, can be followed by another; docs/access.md has the steps"
        )
    _require_deployable(stack)
    if len(keys) == 1:
        keys = [keys[0], str(int(keys[0]) + 1)]
        say(f"1 of 3: the registry learns key {keys[1]}")
        _write(stack, "signingKeys", keys)
        _deploy(stack)
        is_deployed = True
    if int(keys[0]) < int(keys[1]):
        if not is_deployed:
            say(f"1 of 3: the registry learns key {keys[1]}, if it doesn't know it yet")
            _deploy(stack)
        keys = [keys[1], keys[0]]
        say(f"2 of 3: the token server signs with key {keys[0]}")
        _write(stack, "signingKeys", keys)
        _deploy(stack)
    else:
        say(f"2 of 3: the token server signs with key {keys[0]}, if it doesn't yet")
        _deploy(stack)
    seconds = server.lifetime_seconds + LEEWAY_SECONDS + PAUSE_SECONDS
    say(
        f"tokens of key {keys[1]} count for {seconds} s at most: waiting; after Ctrl-C,"
        f" make rotate KEY=1 STACK={stack.name} goes on"
    )
    sleep(seconds)
    say(
        f"3 of 3: the registry forgets key {keys[1]}; if this is interrupted,"
        f" make deploy STACK={stack.name} ends it"
    )
    _write(stack, "signingKeys", keys[:1])
    _deploy(stack)


def _server(stack: Stack, settings: Settings) -> TokenServerOptions:
    if settings.token_server is None:
        raise UserError(
            f"stack {stack.name} knows one password a user, and no keys: that needs registry:auth"
            " token (docs/access.md). New passwords for all users with generated ones, and no"
            " overlap:"
            f"\n      pulumi config set --stack {stack.name} registry:passwordRotation TEXT"
            f"\n      make deploy STACK={stack.name}"
        )
    return settings.token_server


def _require_deployable(stack: Stack) -> None:
    """Raise UserError where a deployment couldn't begin: before anything is written."""
    _ = stack.outputs
    with inventory.connected(stack.name, stack.endpoint) as client:
        inventory.require_swarm_of(stack, client)


def _deploy(stack: Stack) -> None:
    stack.refresh()
    stack.deploy_again()


def _write(stack: Stack, key: str, value: object) -> None:
    """Set a key that has a list or a map, all at once."""
    # By path, `pulumi config set` takes what has digits alone for a number.
    entry = {"value": json.dumps(value), "objectValue": value, "secret": False}
    text = json.dumps({f"registry:{key}": entry})
    run(["pulumi", "config", "set-all", "--stack", stack.name, "--json", text])
