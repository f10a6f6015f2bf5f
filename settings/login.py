"""Who may log in: `registry:users`, their passwords, and `registry:hashedPasswords`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from components.credentials import (
    DEFAULT_USERS,
    MAX_PASSWORD_BYTES,
    MIN_GIVEN_COST,
    CredentialsOptions,
)
from settings import rules
from settings.kinds import Number
from settings.reader import Reader
from settings.stack_file import path_of


def parse_login(reader: Reader) -> CredentialsOptions:
    """Return who may log in; note in `reader` what is wrong with it."""
    users = reader.names("users", rules.USER, DEFAULT_USERS)
    if not users:
        reader.problem("users", "is empty: nobody could log in.")
    return CredentialsOptions(
        users=users,
        passwords=_passwords(reader, users),
        cost=reader.get("passwordCost", Number(MIN_GIVEN_COST, 15), MIN_GIVEN_COST),
        rotation=reader.get("passwordRotation", rules.LINE, ""),
    )


def _passwords(reader: Reader, users: tuple[str, ...]) -> Mapping[str, str]:
    given = reader.mapping("passwords", "…")
    reader.unshare("passwords", "whoever has one would have both registries' images")
    for name, password in given.items():
        key = path_of("passwords", name)
        command = f"\n      {reader.command('set', key, path=True, flags=' --secret')}"
        reader.secret("passwords", name)
        dotted = [user for user in users if user.startswith(f"{name}.")]
        if name not in users and isinstance(password, Mapping) and dotted:
            meant = reader.command(
                "set", path_of("passwords", dotted[0]), path=True, flags=" --secret"
            )
            reason = (
                f"is a map: a dot in a name separates, unless it is quoted. Type:\n      {meant}"
            )
            reader.remove(key, f"{reason}\n  and take this out:")
            continue
        if name not in users:
            reader.remove(key, f"has no such user: registry:users has {', '.join(users)}.")
        # A number in YAML or on the command line arrives as a number; bcrypt wants text.
        if not isinstance(password, str) or not password:
            reader.problem(key, f"must be a text that isn't empty.{command}")
        elif len(password.encode()) > MAX_PASSWORD_BYTES:
            length = len(password.encode())
            limit = f"bcrypt takes {MAX_PASSWORD_BYTES} at the most"
            reader.problem(key, f"is {length} bytes long: {limit}.{command}")
        elif re.search(r"[\x00-\x1f\x7f]", password):
            reader.problem(key, f"has a control character in it.{command}")
    return {name: str(password) for name, password in given.items()}


def parse_hashed_passwords(reader: Reader) -> Mapping[str, str]:
    """Return hashes by user, for Traefik to ask for the login instead: apr1 works nowhere else."""
    hashes = reader.texts("hashedPasswords", rules.LABEL_USER, "…")
    reader.unshare("hashedPasswords", "whoever has one would have both registries' images")
    for name, text in hashes.items():
        reader.secret("hashedPasswords", name)
        if not rules.HASH.admits(text):
            reader.problem(path_of("hashedPasswords", name), f"must be {rules.HASH.must}.")
    for key in ("users", "passwords") if hashes else ():
        if reader.has(key):
            reason = "can't go with hashedPasswords: with these Traefik asks for the login."
            reader.remove(key, reason)
    return hashes
