"""Who may log in: users, their passwords, and the htpasswd file as a Swarm secret."""

from __future__ import annotations

import base64
import hmac
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bcrypt
import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.swarm.stack import SwarmStack

DEFAULT_USERS = ("admin",)
MAX_PASSWORD_BYTES = 72
"""bcrypt ignores what comes after, or, as bcrypt 5 does, refuses it."""
MIN_GIVEN_COST = 10
"""Cost for passwords that a person thought of (OWASP Password Storage Cheat Sheet)."""
GENERATED_COST = 4
"""bcrypt's lowest. A slow hash protects passwords that can be guessed, and these can't: 190 bits.
The registry checks the hash on every request, so each step up halves what it can serve."""
GENERATED_LENGTH = 32
"""Letters and digits: log2(62 ** 32) = 190 bits, and nothing that a shell would take apart."""

HASH_LENGTH = 60
"""Characters of a bcrypt hash, of whatever cost."""

SEED_BYTES = 32
SALT_BYTES = 16

_LETTERS = string.ascii_letters + string.digits
_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPT = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, kw_only=True)
class CredentialsOptions:
    """Who may log in."""

    users: Sequence[str] = DEFAULT_USERS
    """Names without ':'; at least one."""
    passwords: Mapping[str, pulumi.Input[str]] = field(default_factory=dict, repr=False)
    """Given passwords by user, 72 bytes at the most each; the others get a generated one."""
    cost: int = MIN_GIVEN_COST
    """bcrypt cost of given passwords, 10 or more; generated ones need no slow hash."""
    rotation: str = ""
    """Any text; another one makes new passwords for the users that have generated ones."""


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    """Arguments of `Credentials`."""

    stack: SwarmStack
    options: CredentialsOptions = CredentialsOptions()


class Credentials(pulumi.ComponentResource):
    """bcrypt logins for the registry.

    Passwords and salts are derived from one seed, which is kept in the state: so they stay the
    same from one `up` to the next, and a hundred users are one resource. A user who is taken out
    and comes back has the password of before, unless `rotation` has changed.
    """

    passwords: pulumi.Output[Mapping[str, str]]
    """Password by user, secret."""
    secret: docker.Secret
    """The htpasswd file."""

    def __init__(
        self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Credentials", name, None, opts)
        child, options = pulumi.ResourceOptions(parent=self), args.options
        users = options.users
        keepers = {"rotation": options.rotation}
        seed = random.RandomBytes(
            f"{name}-seed", length=SEED_BYTES, keepers=keepers, opts=child
        ).base64.apply(base64.b64decode)
        given = pulumi.Output.secret(dict(options.passwords))
        self.passwords = pulumi.Output.all(seed, given).apply(
            lambda both: {
                user: both[1].get(user) or generated_password(both[0], user) for user in users
            }
        )

        def lines(both: Sequence[Any]) -> str:
            passwords, seed = both
            return "".join(
                htpasswd_line(
                    user,
                    password,
                    _derived(seed, "salt", user)[:SALT_BYTES],
                    options.cost if user in options.passwords else GENERATED_COST,
                )
                + "\n"
                for user, password in passwords.items()
            )

        text = pulumi.Output.all(self.passwords, seed).apply(lines)
        self.secret = args.stack.secret(f"{name}-htpasswd", text, child)
        self.register_outputs({"passwords": self.passwords})


def generated_password(seed: bytes, user: str) -> str:
    """The password of `user`, of GENERATED_LENGTH letters and digits; another seed, another one."""
    number = int.from_bytes(_derived(seed, "password", user), "big")
    letters = []
    for _ in range(GENERATED_LENGTH):
        number, which = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[which])
    return "".join(letters)


def _derived(seed: bytes, purpose: str, user: str) -> bytes:
    """64 bytes that tell nothing of the seed, nor of those for another user or purpose (HMAC)."""
    return hmac.digest(seed, f"{purpose} {user}".encode(), "sha512")


def htpasswd_line(user: str, password: str, salt: bytes, cost: int) -> str:
    """`user:hash` as the registry reads it, the same for the same arguments.

    `salt` is 16 random bytes. `ValueError` when the password is longer than bcrypt takes.
    """
    text = base64.b64encode(salt).translate(bytes.maketrans(_STANDARD, _BCRYPT)).rstrip(b"=")
    digest = bcrypt.hashpw(password.encode(), b"$2b$%02d$" % cost + text)
    return f"{user}:{digest.decode()}"
