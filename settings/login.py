"""Who may log in: `registry:users`, their passwords, and `registry:hashedPasswords`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from components.credentials import (
    DEFAULT_USERS,
    FIRST_VERSION,
    MAX_PASSWORD_BYTES,
    MIN_GIVEN_COST,
    CredentialsOptions,
    FormerPassword,
    PasswordVersion,
)
from settings import early, rules
from settings.kinds import Number
from settings.reader import Reader
from settings.stack_file import path_of

HASH_COSTS = range(4, 17)
"""Costs of bcrypt hashes that the token server takes."""
SEEDS = ("login", "dashboard")
"""Names of the components that generate passwords, and of parts of `registry:passwordSeeds`."""


def parse_login(reader: Reader, hashes: Mapping[str, str]) -> CredentialsOptions:
    """Return who may log in; note in `reader` what is wrong with it.

    With `hashes` for a token server nobody else need be there.
    """
    users = parse_users(reader)
    if hashes and not reader.has("users"):
        users = ()
    elif not users:
        reader.problem("users", "is empty: nobody could log in.")
    for name in sorted(set(users) & set(hashes)):
        reason = "is a user of registry:users, who has a password: take one of the two out."
        reader.remove(path_of("hashedPasswords", name), reason)
    passwords = _passwords(reader, users)
    rotation = reader.get("passwordRotation", rules.LINE, "")
    return CredentialsOptions(
        users=users,
        passwords=passwords,
        cost=reader.get("passwordCost", Number(MIN_GIVEN_COST, 15), MIN_GIVEN_COST),
        rotation=rotation,
        seeds=parse_seeds(reader, rotation),
        versions=parse_versions(reader, users, passwords),
        former=parse_former(reader, users),
        hashes=hashes,
    )


def parse_users(reader: Reader) -> tuple[str, ...]:
    """Return the users that have passwords; note in `reader` what is wrong with their names."""
    return reader.names("users", rules.USER, DEFAULT_USERS)


def _passwords(reader: Reader, users: tuple[str, ...]) -> Mapping[str, str]:
    given = early.passwords(reader)
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
        _require_user(reader, key, name, users)
        if wrong := wrong_with_password(password):
            reader.problem(key, f"{wrong}.{command}")
    return {name: str(password) for name, password in given.items()}


def _require_user(reader: Reader, key: str, name: str, users: Sequence[str]) -> None:
    if name not in users:
        there = f"registry:users has {', '.join(users)}" if users else "registry:users is empty"
        reader.remove(key, f"has no such user: {there}.")


def wrong_with_password(password: object) -> str | None:
    """Return why `password` can't be one; None when it can."""
    # A number in YAML or on the command line arrives as a number; bcrypt wants text.
    if not isinstance(password, str) or not password:
        return "must be a text that isn't empty"
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        length = len(password.encode())
        return f"is {length} bytes long: bcrypt takes {MAX_PASSWORD_BYTES} at the most"
    if re.search(r"[\x00-\x1f\x7f]", password):
        return "has a control character in it"
    return None


def parse_hashed_passwords(reader: Reader, *, tokens: bool) -> Mapping[str, str]:
    """Return hashes by user: for the token server, or without `tokens` for Traefik to ask.

    The registry itself knows no apr1.
    """
    hashes = reader.texts("hashedPasswords", rules.LABEL_USER, "…")
    reader.unshare("hashedPasswords", "whoever has one would have both registries' images")
    for name, text in hashes.items():
        reader.secret("hashedPasswords", name)
        path = path_of("hashedPasswords", name)
        if not rules.HASH.admits(text):
            reader.problem(path, f"must be {rules.HASH.must}.")
        elif tokens and text.startswith("$2") and int(text[4:6]) not in HASH_COSTS:
            costs = f"{HASH_COSTS[0]} to {HASH_COSTS[-1]}"
            reader.problem(path, f"has bcrypt's cost {text[4:6]}: the token server takes {costs}.")
    for key in ("users", "passwords") if hashes and not tokens else ():
        if reader.has(key):
            reason = (
                "can't go with hashedPasswords: with these Traefik asks for the login, unless"
                " registry:auth is token."
            )
            reader.remove(key, reason)
    return hashes


def parse_versions(
    reader: Reader, users: Sequence[str], given: Collection[str]
) -> Mapping[str, Sequence[PasswordVersion]]:
    """Return the generated passwords of each user that has more than one, or another than first."""
    versions = {}
    for name, items in reader.mapping("passwordVersions", "…").items():
        path = path_of("passwordVersions", name)
        _require_user(reader, path, name, users)
        if name in given:
            reason = "has a given password, which has no versions: registry:formerPasswords has"
            reader.remove(path, f"{reason} the one before it.")
        if not isinstance(items, list) or not items:
            reason = "must be a list of maps, the newest first."
            reader.problem(f"{path}[0].version", reason, rules.PASSWORD_VERSION.sample, path=True)
            continue
        versions[name] = [
            _version(reader, f"{path}[{index}]", item) for index, item in enumerate(items)
        ]
        if versions[name][0].until:
            reason = "is of the newest password, which has no end: put another one before it."
            reader.remove(f"{path}[0].until", reason)
        texts = [each.version for each in versions[name]]
        for twice in sorted({text for text in texts if texts.count(text) > 1}):
            reader.problem(path, f"has version {twice!r} twice.")
    return versions


def _version(reader: Reader, path: str, item: object) -> PasswordVersion:
    given = reader.map_at(path, item, ("version", "until"))
    if given is None:
        return FIRST_VERSION
    values = dict(given)
    # On the command line `2` is a number.
    if type(values.get("version")) is int:
        values["version"] = str(values["version"])
    version = reader.part(path, values, "version", rules.PASSWORD_VERSION) or ""
    return PasswordVersion(
        version=version, until=reader.part(path, values, "until", rules.MOMENT, None)
    )


def parse_seeds(reader: Reader, rotation: str) -> Mapping[str, str]:
    """Return the given seeds that passwords are generated from, by name of `SEEDS`.

    There is none where `registry:passwordRotation` has another text than the seeds are of: new
    passwords are asked for.
    """
    reader.unshare("passwordSeeds", "both registries would have the same passwords")
    keys = (*SEEDS, "rotation")
    values = reader.map_at("passwordSeeds", reader.mapping("passwordSeeds", "…"), keys) or {}
    seeds = {name: str(values[name]) for name in SEEDS if name in values}
    for name, text in seeds.items():
        reader.secret("passwordSeeds", name)
        if not rules.SEED.admits(text):
            path = f"passwordSeeds.{name}"
            command = reader.command("set", path, path=True, flags=" --secret")
            reader.problem(path, f"must be {rules.SEED.must}.\n      {command}")
    return seeds if str(values.get("rotation", "")) == rotation else {}


def parse_former(reader: Reader, users: Sequence[str]) -> Mapping[str, FormerPassword]:
    """Return by user the password that still counts beside the present one."""
    reader.unshare("formerPasswords", "whoever has one would have both registries' images")
    former = {}
    for name, item in reader.mapping("formerPasswords", "…").items():
        path = path_of("formerPasswords", name)
        _require_user(reader, path, name, users)
        values = reader.map_at(path, item, ("password", "until"))
        if values is None:
            continue
        reader.secret("formerPasswords", name, "password")
        if wrong := wrong_with_password(values.get("password")):
            command = reader.command("set", f"{path}.password", path=True, flags=" --secret")
            reader.problem(f"{path}.password", f"{wrong}.\n      {command}")
        until = reader.part(path, values, "until", rules.MOMENT) or ""
        former[name] = FormerPassword(password=str(values.get("password")), until=until)
    return former
