"""Who may log in to a registry, with what kind of password, and what the rules allow: `make users`.

It is as the settings say it, deployed or not; no secret is in it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import zip_longest

from components.credentials import FIRST_VERSION
from components.token_server import ACTIONS, ALL_REPOSITORIES, AccessRule
from ops.stack import Stack
from settings import Settings
from settings.access import matches_user

WIDTH = 80
"""Columns of the table."""
MAX_USER, MAX_PASSWORD = 18, 28
"""Columns of users and of passwords; what is longer goes on in the next line."""
ANYONE = "(anyone)"
"""Stands for whoever has no login."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A user of a registry; each list has one entry a line, unless that is too long."""

    user: str
    passwords: Sequence[str]
    rights: Sequence[str]


def show(stack: Stack) -> None:
    """Print who may log in, and what each may do, as the settings say it; never a secret."""
    stack.ensure()
    print(table(stack.settings, datetime.now(timezone.utc)))


def moment(time: datetime) -> str:
    """Return a moment as the settings have it: in UTC, so the order of texts is that of time."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def table(settings: Settings, now: datetime) -> str:
    """Return the table of users; `now` says which passwords have ended."""
    mode = "token" if settings.token_server else "basic"
    rows = [Row(user="USER", passwords=["PASSWORD"], rights=["MAY"]), *_rows(settings, now)]
    user_width = min(MAX_USER, max(len(row.user) for row in rows))
    texts = [text for row in rows for text in row.passwords]
    password_width = min(MAX_PASSWORD, max(map(len, texts)))
    widths = (user_width, password_width, WIDTH - user_width - password_width - 4)
    lines = [f"{settings.routes.url}  registry:auth {mode}", ""]
    for row in rows:
        columns = [
            _wrapped(entries, width)
            for entries, width in zip(([row.user], row.passwords, row.rights), widths, strict=True)
        ]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
            for cells in zip_longest(*columns, fillvalue="")
        ]
    return "\n".join(lines)


def _wrapped(entries: Sequence[str], width: int) -> list[str]:
    wrapper = textwrap.TextWrapper(width, subsequent_indent="  ", break_on_hyphens=False)
    return [line for entry in entries for line in wrapper.wrap(entry)]


def _rows(settings: Settings, now: datetime) -> Iterator[Row]:
    login, server = settings.login, settings.token_server
    if settings.hashed_passwords:
        # Traefik asks for the login, and nobody else has one.
        passwords = {user: ["hash taken over"] for user in settings.hashed_passwords}
    else:
        passwords = {user: list(_passwords(settings, user, now)) for user in login.users}
        passwords |= {user: ["hash taken over"] for user in login.hashes}
    for user, kinds in passwords.items():
        yield Row(
            user=user,
            passwords=kinds,
            rights=_rights(server.access, user) if server else ["everything"],
        )
    rights = _rights(server.access, None) if server else ["nothing"]
    yield Row(user=ANYONE, passwords=["no login"], rights=rights)


def _passwords(settings: Settings, user: str, now: datetime) -> Iterator[str]:
    """Yield lines: the kind of each password of a user, and its end if it has one."""
    login, has_tokens = settings.login, settings.token_server is not None
    if user in login.passwords:
        yield "given"
    else:
        versions = login.versions.get(user) or [FIRST_VERSION]
        # Without a token server the newest one alone counts.
        for each in versions if has_tokens else versions[:1]:
            yield f"generated, version {each.version}"
            if each.until:
                yield _end(each.until, now)
    if has_tokens and (former := login.former.get(user)):
        yield "given before"
        yield _end(former.until, now)


def _end(until: str, now: datetime) -> str:
    return f"  {'ended' if until <= moment(now) else 'until'} {until}"


def _rights(access: Sequence[AccessRule], user: str | None) -> Sequence[str]:
    """Return a line for each rule that is for `user`; None is whoever has no login."""
    rules = [
        _right(rule)
        for rule in access
        if rule.anonymous or (user is not None and matches_user(rule.users, user))
    ]
    return rules or ["nothing"]


def _right(rule: AccessRule) -> str:
    everywhere = ALL_REPOSITORIES in rule.repositories
    if everywhere and set(rule.actions) == set(ACTIONS):
        return "everything"
    where = "all repositories" if everywhere else ", ".join(rule.repositories)
    return f"{', '.join(rule.actions)}: {where}"
