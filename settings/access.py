"""Who may do what: `registry:auth`, the rules of `registry:access`, and the token server."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.credentials import CredentialsOptions
from components.mirrors import MirrorOptions
from components.token_server import (
    ACTIONS,
    ALL_REPOSITORIES,
    MAX_USER_BYTES,
    TOOLS_IMAGE,
    AccessRule,
    TokenServerOptions,
)
from settings import rules
from settings.kinds import Choice, Number
from settings.login import parse_hashed_passwords, parse_login
from settings.reader import Reader, close_to

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
    tokens = reader.get("auth", Choice(("basic", "token")), "basic") == "token"
    hashes = parse_hashed_passwords(reader, tokens=tokens)
    login = parse_login(reader, hashes if tokens else {})
    image = reader.get("toolsImage", rules.IMAGE)
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
        _rule(reader, f"access[{index}]", item, users)
        for index, item in enumerate(items)
        if _is_map(reader, f"access[{index}]", item)
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


def _is_map(reader: Reader, path: str, item: object) -> bool:
    if not isinstance(item, Mapping):
        reader.remove(path, f"must be a map of {', '.join(RULE_KEYS)}.")
    return isinstance(item, Mapping)


def _rule(reader: Reader, path: str, values: Mapping[str, Any], users: Sequence[str]) -> AccessRule:
    for key in sorted(set(values) - set(RULE_KEYS)):
        hint = close_to(key, RULE_KEYS) or f" There are {', '.join(RULE_KEYS)}."
        reader.remove(f"{path}.{key}", f"is not a setting of a rule.{hint}")
    anonymous = values.get("anonymous", False)
    if not isinstance(anonymous, bool):
        reason = f"is {anonymous!r}: it must be true or false."
        reader.problem(f"{path}.anonymous", reason, "true", path=True)
    named = list(_texts(reader, f"{path}.users", values.get("users", []), next(iter(users), "…")))
    for index, pattern in named:
        if not rules.USER.admits(pattern) or not any(
            matches_user([pattern], user) for user in users
        ):
            reason = f"is {pattern!r}, and no user is called so.{close_to(pattern, users)}"
            example = next(iter(users), "…")
            reader.problem(f"{path}.users[{index}]", reason, example, path=True)
    if not values.get("users") and not anonymous:
        reason = "is missing: a rule is for users, or for everybody (anonymous: true)."
        reader.problem(f"{path}.users[0]", reason, next(iter(users), "…"), path=True)
    return AccessRule(
        users=[pattern for _, pattern in named],
        anonymous=bool(anonymous),
        repositories=_repositories(reader, path, values),
        actions=_actions(reader, path, values),
    )


def _repositories(reader: Reader, path: str, values: Mapping[str, Any]) -> Sequence[str]:
    rule = rules.REPOSITORIES
    items = values.get("repositories", [ALL_REPOSITORIES])
    patterns = list(_texts(reader, f"{path}.repositories", items, rule.sample))
    for index, pattern in patterns:
        if not rule.admits(pattern):
            reason = f"is {pattern!r}: it must be {rule.must}."
            reader.problem(f"{path}.repositories[{index}]", reason, rule.sample, path=True)
    if items == []:
        reason = "has nothing in it: take it out, and the rule is for all repositories."
        reader.remove(f"{path}.repositories", reason)
    return [pattern for _, pattern in patterns]


def _actions(reader: Reader, path: str, values: Mapping[str, Any]) -> Sequence[str]:
    items = values.get("actions", [])
    actions = list(_texts(reader, f"{path}.actions", items, ACTIONS[0]))
    must = f"it must be one of {', '.join(ACTIONS)}."
    for index, action in actions:
        if action not in ACTIONS:
            reason = f"is {action!r}: {must}{close_to(action, ACTIONS)}"
            reader.problem(f"{path}.actions[{index}]", reason, ACTIONS[0], path=True)
    if items == []:
        reader.problem(f"{path}.actions[0]", f"is missing: {must}", ACTIONS[0], path=True)
    return [action for _, action in actions]


def _texts(reader: Reader, path: str, items: object, example: str) -> Iterator[tuple[int, str]]:
    """Yield the texts of the list at `path`, each with its index."""
    if not isinstance(items, list):
        reader.problem(f"{path}[0]", "must be in a list.", example, path=True)
        return
    for index, item in enumerate(items):
        if isinstance(item, str):
            yield index, item
        else:
            reason = f"is {item!r}: it must be a text."
            reader.problem(f"{path}[{index}]", reason, example, path=True)


def matches_user(patterns: Collection[str], user: str) -> bool:
    """Return whether one of the patterns is for `user`; `*` stands for any characters."""
    forms = (".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns)
    return any(re.fullmatch(form, user, re.DOTALL) for form in forms)
