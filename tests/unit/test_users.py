"""Commands about users: who may log in, and what each may do."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from ops.users import table
from settings import Settings, parse

from .program import raw

NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
PAST, FUTURE = "2026-11-26T11:59:59Z", "2026-11-27T10:00:00Z"
SECRET = "hunter2-but-longer"
HASH = "$2b$10$" + "a" * 53
GOOD = {"stackName": "images-com", "domain": "images.example.com"}
SECRETS = ("registry:passwords", "registry:hashedPasswords", "registry:formerPasswords")
TOKENS: dict[str, Any] = {
    "auth": "token",
    "users": ["admin", "ci", "deploy"],
    "passwords": {"admin": SECRET},
    "formerPasswords": {"admin": {"password": f"{SECRET}-2", "until": FUTURE}},
    "passwordVersions": {
        "ci": [
            {"version": "3"},
            {"version": "2", "until": FUTURE},
            {"version": "1", "until": PAST},
        ]
    },
    "hashedPasswords": {"robot-1": HASH},
    "access": [
        {"users": ["admin"], "actions": ["pull", "push", "delete", "catalog"]},
        {"users": ["ci", "robot-*"], "repositories": ["team/**"], "actions": ["pull", "push"]},
        {"users": ["*"], "actions": ["pull"]},
        {"anonymous": True, "repositories": ["public/**"], "actions": ["pull"]},
    ],
}


def settings(values: dict[str, Any]) -> Settings:
    """Return the settings of a stack with these values."""
    return parse(raw({**GOOD, **values}), SECRETS.__contains__, "test")


def test_the_table_has_each_user_with_passwords_and_rules() -> None:
    assert table(settings(TOKENS), NOW).splitlines() == [
        "https://images.example.com  registry:auth token",
        "",
        "USER      PASSWORD                      MAY",
        "admin     given                         everything",
        "          given before                  pull: all repositories",
        "            until 2026-11-27T10:00:00Z  pull: public/**",
        "ci        generated, version 3          pull, push: team/**",
        "          generated, version 2          pull: all repositories",
        "            until 2026-11-27T10:00:00Z  pull: public/**",
        "          generated, version 1",
        "            ended 2026-11-26T11:59:59Z",
        "deploy    generated, version 1          pull: all repositories",
        "                                        pull: public/**",
        "robot-1   hash taken over               pull, push: team/**",
        "                                        pull: all repositories",
        "                                        pull: public/**",
        "(anyone)  no login                      pull: public/**",
    ]


def test_where_the_registry_asks_for_logins_everybody_who_has_one_may_do_everything() -> None:
    own = table(settings({"passwords": {"ci": SECRET}, "users": ["admin", "ci"]}), NOW)
    taken_over = table(settings({"hashedPasswords": {"ci": HASH}}), NOW)
    rows = [line.split(maxsplit=1) for line in own.splitlines()[3:]]
    assert [user for user, _ in rows] == ["admin", "ci", "(anyone)"]
    assert [rest.split()[-1] for _, rest in rows] == ["everything", "everything", "nothing"]
    assert "hash taken over  everything" in taken_over
    assert "admin" not in taken_over


@pytest.mark.parametrize("values", [TOKENS, {"passwords": {"admin": SECRET}}])
def test_no_secret_is_in_the_table(values: dict[str, Any]) -> None:
    text = table(settings(values), NOW)
    assert SECRET not in text
    assert "$2b$" not in text


def test_the_table_fits_80_columns_whatever_names_are_in_it() -> None:
    user, repository = "u" * 100, "r" * 200
    rule = {"users": [user], "repositories": [repository], "actions": ["pull"]}
    versions = {user: [{"version": "v" * 64}]}
    values = {"auth": "token", "users": [user], "access": [rule], "passwordVersions": versions}
    lines = table(settings(values), NOW).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert "".join("".join(lines[3:]).split()).count("r") >= 200
