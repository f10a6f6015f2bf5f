"""Who may do what: `registry:auth`, the rules of `registry:access`, and the token server."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.credentials import CredentialsOptions
from components.mirrors import MirrorOptions
from components.token_server import (
    ACTIONS,
    ALL_REPOSITORIES,
    MAX_USER_BYTES,
    AccessRule,
    TokenServerOptions,
)
from components.version import TOOLS_IMAGE
from settings import early, rules
from settings.kinds import Choice, Kind, Number, WrongValueError
from settings.login import parse_hashed_passwords, parse_login
from settings.reader import Reader

DEFAULTS = TokenServerOptions()
RULE_KEYS = ("users", "anonymous", "repositories", "actions")
TOKEN_KEYS = ("access", "signingKeys", "tokenLifetime", "tokenReplicas")
"""Keys that mean nothing where the registry asks for logins."""


@dataclass(frozen=True, kw_only=True)
class AuthSettings:
    """Who may log in, who asks for the login, and what a login is for."""

    login: CredentialsOptions
    hashed_passwords: Mapping[str, str] = field(repr=False)
    """Hashes by user, for Traefik to ask for the login."""
    token_server: TokenServerOptions | None
    """None: whoever has a login may do everything."""
    tools_image: str | None
    """None: the one that `make build` makes."""


def parse_auth(
    reader: Reader, mirrors: Sequence[MirrorOptions], trusted_proxies: Sequence[str]
) -> AuthSettings:
    """Return who may do what; note in `reader` what is wrong with it.

    `mirrors` may take tokens, too; `trusted_proxies` are those in front of Traefik.
    """
    tokens = early.asks_tokens(reader)
    hashes = parse_hashed_passwords(reader, tokens=tokens)
    login = parse_login(reader, hashes if tokens else {})
    image = early.tools_image(reader)
    users = [*login.users, *login.hashes]
    items = reader.items("access", "…")
    server = TokenServerOptions(
        image=image or TOOLS_IMAGE,
        access=DEFAULTS.access if items is None or not tokens else _access(reader, items, users),
        lifetime_seconds=reader.get("tokenLifetime", Number(60, 3600), DEFAULTS.lifetime_seconds),
        replicas=reader.get("tokenReplicas", Number(1, 100), DEFAULTS.replicas),
        signing_keys=_signing_keys(reader),
        trusted_proxies=trusted_proxies,
    )
    if tokens:
        _check_names(reader, users)
        _check_mirrors(reader, mirrors, server.access)
    else:
        for key in TOKEN_KEYS:
            if reader.has(key):
                reader.remove(key, "needs registry:auth token.")
    return AuthSettings(
        login=login,
        hashed_passwords={} if tokens else hashes,
        token_server=server if tokens else None,
        tools_image=image,
    )


def _check_names(reader: Reader, users: Sequence[str]) -> None:
    for user in users:
        if len(user.encode()) > MAX_USER_BYTES:
            reason = f"has {user!r}: the token server takes {MAX_USER_BYTES} bytes at the most."
            reader.problem("users", reason)


def _check_mirrors(
    reader: Reader, mirrors: Sequence[MirrorOptions], access: Sequence[AccessRule]
) -> None:
    """Note which rule opens to everybody what a mirror's login at its upstream is needed for."""
    private = [each.name for each in mirrors if each.asks_login and each.upstream.username]
    for index, rule in enumerate(access):
        everywhere = ALL_REPOSITORIES in rule.repositories and "pull" in rule.actions
        if private and rule.anonymous and everywhere:
            reason = (
                "is for all repositories, also those of mirrors: everybody could pull what only the"
                f" login of mirror {private[0]} may. Name some:"
            )
            sample = rules.REPOSITORIES.sample
            reader.problem(f"access[{index}].repositories[0]", reason, sample, path=True)


def _signing_keys(reader: Reader) -> tuple[str, ...]:
    keys = reader.names("signingKeys", rules.SIGNING_KEY, tuple(DEFAULTS.signing_keys))
    if not keys:
        reader.remove("signingKeys", "is empty: one has to sign.")
    return keys or tuple(DEFAULTS.signing_keys)


def _access(reader: Reader, items: Sequence[Any], users: Sequence[str]) -> Sequence[AccessRule]:
    """Return the rules, and note in `reader` each that can't be meant so."""
    access = [
        _rule(reader, path, values, users)
        for path, item in ((f"access[{index}]", item) for index, item in enumerate(items))
        if (values := reader.map_at(path, item, RULE_KEYS)) is not None
    ]
    patterns = [pattern for rule in access for pattern in rule.users]
    for number, user in enumerate(user for user in users if not matches_user(patterns, user)):
        # A rule of its own: which of the others may be meant, nobody knows.
        path = f"access[{len(items)}]"
        first = reader.command("set", f"{path}.users[{number}]", path=True)
        second = reader.command("set", f"{path}.actions[0]", path=True)
        reader.problem(
            "access",
            f"names {user} in no rule, who could do nothing:\n      {first} {shlex.quote(user)}"
            f"\n      {second} pull",
        )
    for index, rule in enumerate(access):
        if rule.anonymous and {"push", "delete"} & set(rule.actions):
            reader.warnings.append(
                f"registry:access[{index}] lets everybody without a login push or delete"
            )
    return access


def _rule(reader: Reader, path: str, values: Mapping[str, Any], users: Sequence[str]) -> AccessRule:
    anonymous = values.get("anonymous", False)
    if not isinstance(anonymous, bool):
        reason = f"is {reader.shown(path, anonymous)}: it must be true or false."
        reader.problem(f"{path}.anonymous", reason, "true", path=True)
    if not values.get("users") and not anonymous:
        reason = "is missing: a rule is for users, or for everybody (anonymous: true)."
        reader.problem(f"{path}.users[0]", reason, next(iter(users), "…"), path=True)
    return AccessRule(
        users=reader.list_at(f"{path}.users", values.get("users", []), _Users(users)),
        anonymous=bool(anonymous),
        repositories=_repositories(reader, path, values),
        actions=reader.list_at(
            f"{path}.actions", values.get("actions", []), Choice(ACTIONS), required=True
        ),
    )


def _repositories(reader: Reader, path: str, values: Mapping[str, Any]) -> Sequence[str]:
    items = values.get("repositories", [ALL_REPOSITORIES])
    if items == []:
        reason = "has nothing in it: take it out, and the rule is for all repositories."
        reader.remove(f"{path}.repositories", reason)
    return reader.list_at(f"{path}.repositories", items, rules.REPOSITORIES)


class _Users(Kind[str]):
    """A pattern that is for one of some users."""

    must = "a name of registry:users or registry:hashedPasswords, or one with * for some of them"

    def __init__(self, users: Sequence[str]) -> None:
        self.names = users

    def parse(self, text: str) -> str:
        has_user = any(matches_user([text], user) for user in self.names)
        if not has_user or not rules.USER.admits(text):
            raise WrongValueError(self.must)
        return text

    def example(self, default: str | None) -> str:
        return default or next(iter(self.names), "…")


def matches_user(patterns: Collection[str], user: str) -> bool:
    """Return whether one of the patterns is for `user`; `*` stands for any characters."""
    forms = (".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns)
    return any(re.fullmatch(form, user, re.DOTALL) for form in forms)
