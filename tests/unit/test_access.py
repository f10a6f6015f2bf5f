"""Rules of access: what is wrong with them, and what they come to."""

from __future__ import annotations

import re
from typing import Any

import pulumi
import pytest
from hypothesis import given, strategies

from components import (
    AccessRule,
)
from settings.access import matches_user

from .shared_access import (
    APR1,
    EVERYBODY,
    UNTIL,
    settings,
)

USERS = ["admin", "ci", "deploy"]
SECRET = "hunter2-but-longer"


def rules(*access: Any) -> dict[str, Any]:
    return {"users": USERS, "access": [*access]}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("auth", {"auth": "tokens"}, "must be one of basic, token"),
    ("access", {"auth": "basic", "access": [EVERYBODY]}, "needs registry:auth token"),
    ("signingKeys", {"auth": "basic", "signingKeys": ["1"]}, "needs registry:auth token"),
    ("tokenLifetime", {"auth": "basic", "tokenLifetime": "60"}, "needs registry:auth token"),
    ("tokenReplicas", {"auth": "basic", "tokenReplicas": "1"}, "needs registry:auth token"),
    ("access", {"access": "admin"}, "must be a list"),
    ("access", {"access": []}, "names admin in no rule"),
    ("access[1]", rules(EVERYBODY, "admin"), "must be a map of users, anonymous, repositories"),
    ("access[0].user", rules({**EVERYBODY, "user": "ci"}), "Did you mean users?"),
    ("access[0].until", rules({**EVERYBODY, "until": UNTIL}), "is none of users, anonymous"),
    ("access[0].anonymous", rules({**EVERYBODY, "anonymous": "yes"}), "must be true or false"),
    ("access[0].users[1]", rules({**EVERYBODY, "users": ["*", 1]}), "name of registry:users"),
    ("access[0].users[1]", rules({**EVERYBODY, "users": ["*", "depoly"]}), "mean deploy?"),
    ("access[0].users[1]", rules({**EVERYBODY, "users": ["*", "robot-*"]}), "registry:users or"),
    ("access[1].users[0]", rules(EVERYBODY, {"actions": ["pull"]}), "for everybody (anonymous"),
    ("access", rules({"users": ["admin", "c*"], "actions": ["pull"]}), "names deploy in no rule"),
    ("access[1].users[0]", rules(EVERYBODY, {**EVERYBODY, "users": "ci"}), "must be in a list"),
    ("access[0].actions[0]", rules({"users": ["*"]}), "one of pull, push, delete, catalog"),
    ("access[0].actions[0]", rules({**EVERYBODY, "actions": []}), "one of pull, push, delete"),
    ("access[0].actions[0]", rules({**EVERYBODY, "actions": "pull"}), "must be in a list"),
    ("access[0].actions[0]", rules({**EVERYBODY, "actions": ["puhs"]}), "Did you mean push?"),
    ("access[0].repositories", rules({**EVERYBODY, "repositories": []}), "for all repositories"),
    ("access[0].repositories[0]", rules({**EVERYBODY, "repositories": "a"}), "must be in a list"),
    ("tokenLifetime", {"tokenLifetime": "59"}, "from 60 to 3600"),
    ("tokenReplicas", {"tokenReplicas": "0"}, "from 1 to 100"),
    ("toolsImage", {"toolsImage": "tools"}, "an image with its tag"),
    ("signingKeys", {"signingKeys": ["1", "1"]}, "has '1' twice"),
    ("signingKeys", {"signingKeys": []}, "one has to sign"),
    ("signingKeys[0]", {"signingKeys": ["a b"]}, "letters, digits"),
    ("users", {"users": ["x" * 129]}, "takes 128 bytes"),
    ("hashedPasswords.ci", {"users": USERS, "hashedPasswords": {"ci": APR1}}, "of registry:users"),
    ("hashedPasswords.ci", {"hashedPasswords": {"ci": "$2b$17$" + "a" * 53}}, "takes 4 to 16"),
    ("hashedPasswords.ci", {"hashedPasswords": {"ci": "{SHA}" + "a" * 28}}, "must be a hash"),
    ("hashedPasswords.ci", {"hashedPasswords": {"ci": "$2b$١٠$" + "a" * 53}}, "must be a hash"),
    ("trustedProxies[0]", {"trustedProxies": ["10.0.0.5/8"]}, "has host bits set"),
    ("trustedProxies[0]", {"trustedProxies": ["fe80::1%eth0"]}, "an address, or a network"),
    ("trustedProxies[0]", {"trustedProxies": ["::ffff:10.0.0.5"]}, "one of IPv4 as such"),
    ("passwordVersions.ci", {"passwordVersions": {"ci": [{"version": "1"}]}}, "no such user"),
    ("passwordVersions.admin[0].version", {"passwordVersions": {"admin": "2"}}, "must be a list"),
    (
        "passwordVersions.admin[0]",
        {"passwordVersions": {"admin": ["2"]}},
        "a map of version, until",
    ),
    (
        "passwordVersions.admin[0].versoin",
        {"passwordVersions": {"admin": [{"version": "1", "versoin": "2"}]}},
        "Did you mean version?",
    ),
    (
        "passwordVersions.admin[0].until",
        {"passwordVersions": {"admin": [{"version": "2", "until": UNTIL}]}},
        "the newest password, which has no end",
    ),
    (
        "passwordVersions.admin[1].until",
        {"passwordVersions": {"admin": [{"version": "2"}, {"version": "1", "until": "soon"}]}},
        "a moment in UTC",
    ),
    (
        # The token server would end at a day that no calendar has.
        "passwordVersions.admin[1].until",
        {
            "passwordVersions": {
                "admin": [{"version": "2"}, {"version": "1", "until": "2026-02-31T10:00:00Z"}]
            }
        },
        "a moment in UTC",
    ),
    (
        "passwordVersions.admin[0].version",
        {"passwordVersions": {"admin": [{"version": True}]}},
        "must be a text",
    ),
    (
        "passwordVersions.admin",
        {"passwordVersions": {"admin": [{"version": "1"}, {"version": "1"}]}},
        "has version '1' twice",
    ),
    (
        "passwordVersions.admin",
        {"passwords": {"admin": SECRET}, "passwordVersions": {"admin": [{"version": "1"}]}},
        "has a given password",
    ),
    ("passwordSeeds.login", {"passwordSeeds": {"login": SECRET}}, "must be 32 bytes in base64"),
    ("passwordSeeds.logins", {"passwordSeeds": {"logins": SECRET}}, "Did you mean login?"),
    ("passwordSeeds", {"passwordSeeds": "[]"}, "must be a map of names to values"),
    (
        "formerPasswords.ci",
        {"formerPasswords": {"ci": {"password": SECRET, "until": UNTIL}}},
        "no such user",
    ),
    (
        "formerPasswords.admin.until",
        {"formerPasswords": {"admin": {"password": SECRET}}},
        "is missing: it must be a moment",
    ),
    (
        "formerPasswords.admin.until",
        {"formerPasswords": {"admin": {"password": SECRET, "until": "٢٠٢٦-11-27T10:00:00Z"}}},
        "a moment in UTC",
    ),
    (
        "formerPasswords.admin.password",
        {"formerPasswords": {"admin": {"password": SECRET * 5, "until": UNTIL}}},
        "bcrypt takes 72",
    ),
]


@pytest.mark.parametrize(("key", "values", "says"), WRONG, ids=lambda value: str(value)[:50])
def test_what_is_wrong_is_one_line_with_what_to_type(
    key: str, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(pulumi.RunError) as error:
        settings(**values)
    message = str(error.value)
    assert message.startswith("One setting of stack prod is wrong"), message
    assert f"- registry:{key} " in message
    assert says in message
    assert SECRET not in message


def test_no_message_shows_what_is_in_a_secret_key() -> None:
    access = [{"users": [SECRET], "actions": [SECRET], "repositories": [f"{SECRET}:"]}]
    with pytest.raises(pulumi.RunError, match=r"access\[0\]\.users\[0\] is \[secret\]") as error:
        settings(secrets=("registry:access",), users=["hunter"], access=access)
    assert SECRET not in str(error.value)
    assert "Did you mean" not in str(error.value)


def test_a_list_that_is_none_is_taken_out_first() -> None:
    with pytest.raises(pulumi.RunError) as error:
        settings(users="admin")
    *_, first, second = str(error.value).splitlines()
    assert first.split() == ["pulumi", "config", "rm", "--stack", "prod", "registry:users"]
    assert second.strip() == "pulumi config set --stack prod --path 'registry:users[0]' admin"


@pytest.mark.parametrize(
    "pattern",
    ["Team", "/team", "team/", "team//a", "a b", "", "***", "team/****", "x" * 256, "a:1"],
)
def test_a_pattern_that_no_name_could_match_is_refused(pattern: str) -> None:
    with pytest.raises(pulumi.RunError, match=r"repositories\[0\] is .*a pattern of whole names"):
        settings(**rules({**EVERYBODY, "repositories": [pattern]}))


@pytest.mark.parametrize(
    "pattern", ["**", "*", "team/**", "team/*/app", "a-*", "**/base", "a__b.c"]
)
def test_patterns_of_names_are_taken(pattern: str) -> None:
    access = settings(**rules({**EVERYBODY, "repositories": [pattern]})).token_server
    assert access
    assert [*access.access[0].repositories] == [pattern]


def test_a_moment_is_typed_in_plain_text_which_pulumi_would_take_for_a_secret() -> None:
    former = {"ci": {"password": SECRET, "until": "tomorrow"}}
    with pytest.raises(pulumi.RunError) as refused:
        settings(users=USERS, passwords={"ci": SECRET}, formerPasswords=former)
    assert "--path --plaintext registry:formerPasswords.ci.until 20" in str(refused.value)


def model(pattern: str, user: str) -> bool:
    """Return whether the pattern is for the user, a character at a time."""
    if not pattern:
        return not user
    if pattern[0] == "*":
        return model(pattern[1:], user) or (user != "" and model(pattern, user[1:]))
    return user[:1] == pattern[0] and model(pattern[1:], user[1:])


LETTERS = strategies.text("ab.-*\n", max_size=6)


@given(patterns=strategies.lists(LETTERS, max_size=3), user=LETTERS)
def test_a_preview_takes_patterns_of_users_for_what_they_are(
    patterns: list[str], user: str
) -> None:
    assert matches_user(patterns, user) == any(model(pattern, user) for pattern in patterns)


def test_each_user_without_a_rule_is_a_line_and_the_commands_make_one_rule_of_all() -> None:
    with pytest.raises(pulumi.RunError, match="2 settings of stack prod are wrong") as error:
        settings(**rules({"users": ["admin"], "actions": ["pull"]}))
    commands = re.findall(r"--path '(registry:access\S+)' (\w+)", str(error.value))
    assert dict(commands) == {
        "registry:access[1].users[0]": "ci",
        "registry:access[1].users[1]": "deploy",
        "registry:access[1].actions[0]": "pull",
    }


def test_a_former_password_in_plain_text_is_refused() -> None:
    with pytest.raises(pulumi.RunError, match=r"formerPasswords\.admin\.password is in plain"):
        settings((), formerPasswords={"admin": {"password": SECRET, "until": UNTIL}})


def test_without_rules_every_user_may_do_everything() -> None:
    server = settings().token_server
    assert server
    assert list(server.access) == [
        AccessRule(
            users=("*",), repositories=("**",), actions=("pull", "push", "delete", "catalog")
        )
    ]
    assert settings(auth="basic").token_server is None


def test_a_rule_by_which_strangers_push_is_a_warning() -> None:
    assert settings(**rules(EVERYBODY, {"anonymous": True, "actions": ["pull"]})).warnings == ()
    (warning,) = settings(**rules(EVERYBODY, {"anonymous": True, "actions": ["push"]})).warnings
    assert "registry:access[1] lets everybody without a login push" in warning


def test_a_rule_for_everybody_opens_no_mirror_that_has_a_login_upstream() -> None:
    everybody = {"anonymous": True, "actions": ["pull"]}
    hub = {"upstream": "https://registry-1.docker.io", "domain": "hub.example.com"}
    private = {**hub, "username": "me", "password": SECRET}
    secrets = ("registry:mirrors",)
    settings(secrets, **rules(EVERYBODY, everybody), mirrors={"hub": hub})
    allowed = {**private, "allow": ["10.0.0.0/8"]}
    settings(secrets, **rules(EVERYBODY, everybody), mirrors={"hub": allowed})
    some = {**everybody, "repositories": ["public/**"]}
    settings(secrets, **rules(EVERYBODY, some), mirrors={"hub": private})
    with pytest.raises(pulumi.RunError, match=r"access\[1\]\.repositories\[0\] is for all"):
        settings(secrets, **rules(EVERYBODY, everybody), mirrors={"hub": private})
