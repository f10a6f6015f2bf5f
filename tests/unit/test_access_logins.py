"""Logins in token mode: hashes, versions, former passwords."""

from __future__ import annotations

import base64
import json
from typing import Any

import bcrypt
import pulumi
import pytest

from components import (
    Credentials,
    CredentialsArgs,
    CredentialsOptions,
    FormerPassword,
    PasswordVersion,
    SwarmStack,
)
from components.credentials import generated_password

from .conftest import Deploy, Recorder
from .shared_access import (
    APR1,
    EVERYBODY,
    GOOD,
    OTHER_SEED,
    SEED,
    UNTIL,
    content,
    settings,
)

SHA = "{SHA}" + base64.b64encode(bytes(20)).decode()


@pytest.mark.parametrize("text", [APR1, SHA, "$2y$05$" + "a" * 53])
def test_hashes_go_to_the_token_server_and_into_no_label(text: str) -> None:
    alone = settings(hashedPasswords={"ci": text})
    assert (alone.hashed_passwords, alone.routes.registry.users) == ({}, {})
    assert (alone.login.users, alone.login.hashes) == ((), {"ci": text})
    beside = settings(users=["admin"], hashedPasswords={"ci": text})
    assert (beside.login.users, beside.login.hashes) == (("admin",), {"ci": text})
    # A rule may name either.
    settings(users=["admin"], hashedPasswords={"ci": text}, access=[{**EVERYBODY, "users": ["*"]}])


def test_versions_are_kept_where_only_the_newest_counts() -> None:
    versions = {"admin": [{"version": 2}, {"version": "1", "until": UNTIL}]}
    for auth in ("basic", "token"):
        options = settings(auth=auth, passwordVersions=versions).login
        assert options.versions["admin"] == [
            PasswordVersion(version="2"),
            PasswordVersion(version="1", until=UNTIL),
        ]


def test_mirrors_that_ask_for_a_login_take_tokens_at_their_own_name() -> None:
    hub = {"upstream": "https://registry-1.docker.io", "domain": "hub.example.com"}
    open_ = {"upstream": "https://ghcr.io", "domain": "ghcr.example.com", "allow": ["10.0.0.0/8"]}
    options = settings(mirrors={"hub": hub, "ghcr": open_})
    assert [route.domain for route in options.routes.tokens.values()] == [
        GOOD["domain"],
        "hub.example.com",
    ]


def credentials(deploy: Deploy, options: CredentialsOptions, form: Any = "users") -> Recorder:
    def program() -> pulumi.Output[Any]:
        stack = SwarmStack(name="s")
        args = CredentialsArgs(stack=stack, options=options, form=form)
        return Credentials("login", args).passwords.apply(passwords.update)

    passwords.clear()
    return deploy(program)


passwords: dict[str, str] = {}
"""Of the components that `credentials` has made last."""


OVERLAP = CredentialsOptions(
    users=("admin", "ci", "deploy"),
    passwords={"ci": "present"},
    versions={"deploy": (PasswordVersion(version="2"), PasswordVersion(version="1", until=UNTIL))},
    former={"ci": FormerPassword(password="before", until=UNTIL)},
    hashes={"robot": APR1},
)


def test_a_token_servers_users_have_all_passwords_with_their_ends(deploy: Deploy) -> None:
    users = json.loads(content(credentials(deploy, OVERLAP), "login-users"))
    assert [(each["user"], each.get("until")) for each in users] == [
        ("admin", None),
        ("ci", None),
        ("ci", UNTIL),
        ("deploy", None),
        ("deploy", UNTIL),
        ("robot", None),
    ]
    assert users[-1]["hash"] == APR1
    seed = SEED
    expected = [
        generated_password(seed, "admin"),
        "present",
        "before",
        generated_password(seed, "deploy", "2"),
        generated_password(seed, "deploy", "1"),
    ]
    for each, password in zip(users, expected, strict=False):
        assert bcrypt.checkpw(password.encode(), each["hash"].encode())
    costs = [each["hash"][4:6] for each in users[:-1]]
    # A generated password can't be guessed; a given one may.
    assert costs == ["04", "10", "10", "04", "04"]
    assert len({each["hash"][7:29] for each in users[:-1]}) == 5, "each has a salt of its own"
    assert passwords == {"admin": expected[0], "ci": "present", "deploy": expected[3]}


def test_where_the_registry_checks_logins_the_newest_passwords_count(deploy: Deploy) -> None:
    lines = content(credentials(deploy, OVERLAP, "htpasswd"), "login-htpasswd").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["admin", "ci", "deploy"]
    newest = generated_password(SEED, "deploy", "2")
    assert bcrypt.checkpw(newest.encode(), lines[2].partition(":")[2].encode())


def test_a_given_seed_makes_the_passwords_of_the_stack_that_had_it(deploy: Deploy) -> None:
    given = base64.b64encode(OTHER_SEED).decode()
    options = CredentialsOptions(users=("admin",), seeds={"login": given})
    recorder = credentials(deploy, options, "htpasswd")
    digest = content(recorder, "login-htpasswd").strip().partition(":")[2]
    assert passwords == {"admin": generated_password(OTHER_SEED, "admin")}
    assert bcrypt.checkpw(passwords["admin"].encode(), digest.encode())
    assert not recorder.of_type("RandomBytes")


@pytest.mark.parametrize(
    ("rotation", "seeds", "counts"),
    [
        ({}, {}, True),
        ({"passwordRotation": "2"}, {"rotation": "2"}, True),
        ({"passwordRotation": "2"}, {"rotation": 2}, True),
        ({"passwordRotation": "3"}, {"rotation": "2"}, False),
        ({"passwordRotation": "3"}, {}, False),
        ({}, {"rotation": "2"}, False),
    ],
)
def test_a_given_seed_counts_until_the_passwords_are_rotated(
    rotation: dict[str, str], seeds: dict[str, Any], counts: bool
) -> None:
    given = {name: base64.b64encode(SEED).decode() for name in ("login", "dashboard")}
    for auth in ("basic", "token"):
        parsed = settings(auth=auth, passwordSeeds={**given, **seeds}, **rotation)
        assert parsed.login.seeds == (given if counts else {})


def test_a_seed_in_plain_text_is_refused() -> None:
    given = base64.b64encode(SEED).decode()
    with pytest.raises(pulumi.RunError, match=r"passwordSeeds\.login is in plain text") as error:
        settings(secrets=(), passwordSeeds={"login": given})
    assert given not in str(error.value)


def test_another_version_is_another_password_and_the_first_is_that_of_before() -> None:
    versions = ["1", "2", "11"]
    assert len({generated_password(SEED, "ci", each) for each in versions}) == len(versions)
    assert generated_password(SEED, "ci", "1") != generated_password(OTHER_SEED, "ci", "1")
    assert (
        generated_password(SEED, "ci")
        == generated_password(SEED, "ci", "1")
        == "cqxJUp92XtIuNWfdxaURAA8aEAyR3Seh"
    )
