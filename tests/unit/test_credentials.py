"""Logins: passwords, salts and hashes."""

from __future__ import annotations

import base64
import re

import bcrypt
import pytest

from components import (
    Credentials,
    CredentialsArgs,
    CredentialsOptions,
)
from components.credentials import generated_password, htpasswd_line

from .conftest import Deploy
from .shared_components import (
    STACK,
)


def test_a_generated_password_has_the_lowest_cost_and_a_given_one_its_own(deploy: Deploy) -> None:
    def program() -> None:
        Credentials(
            "login",
            CredentialsArgs(
                stack=STACK,
                options=CredentialsOptions(
                    users=["admin", "ci"], passwords={"ci": "given"}, cost=11
                ),
            ),
        )

    recorder = deploy(program)
    data = recorder.of_type("Secret")["login-htpasswd"]["data"]["value"]
    lines = dict(line.split(":") for line in base64.b64decode(data).decode().splitlines())
    assert lines["admin"].startswith("$2b$04$")
    assert lines["ci"].startswith("$2b$11$")
    generated = generated_password(b"\1" * 32, "admin")
    assert re.fullmatch("[A-Za-z0-9]{32}", generated)
    assert bcrypt.checkpw(generated.encode(), lines["admin"].encode())
    assert bcrypt.checkpw(b"given", lines["ci"].encode())
    assert set(recorder.of_type("RandomBytes")) == {"login-seed"}


def test_each_user_and_each_seed_makes_another_password() -> None:
    users = ["admin", "ci", "admin2"]
    made = {generated_password(bytes([fill]) * 32, user) for fill in range(50) for user in users}
    assert len(made) == 150
    letters = "".join(made)
    # 4800 letters of 62: 77 each, give or take.
    assert all(40 < letters.count(letter) < 130 for letter in set(letters))
    assert len(set(letters)) == 62


@pytest.mark.parametrize("fill", [0, 1, 127, 255])
def test_every_salt_makes_a_line_that_bcrypt_takes_and_always_the_same(fill: int) -> None:
    salt = bytes([fill]) * 16
    line = htpasswd_line("admin", "secret", salt, 4)
    assert line == htpasswd_line("admin", "secret", salt, 4)
    assert bcrypt.checkpw(b"secret", line.partition(":")[2].encode())
