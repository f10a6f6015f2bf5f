"""Who may log in: users, their passwords, and the htpasswd file as a Swarm secret."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import bcrypt
import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.stack import swarm_secret

MAX_PASSWORD_BYTES = 72
"""bcrypt ignores what comes after, or, as bcrypt 5 does, refuses it."""
MIN_GIVEN_COST = 10
"""Cost for passwords that a person thought of (OWASP Password Storage Cheat Sheet)."""
GENERATED_COST = 4
"""bcrypt's lowest. A slow hash protects passwords that can be guessed, and these can't: 190 bits.
The registry checks the hash on every request, so each step up halves what it can serve."""
GENERATED_LENGTH = 32
"""Letters and digits: log2(62 ** 32) = 190 bits, and nothing that a shell would take apart."""

_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPT = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    """Who may log in."""

    stack_name: str
    """Swarm stack that the secret belongs to."""
    users: Sequence[str]
    """Names without ':'; at least one."""
    passwords: Mapping[str, pulumi.Input[str]] = field(default_factory=dict, repr=False)
    """Given passwords by user, 72 bytes at the most each; the others get a generated one."""
    cost: int = MIN_GIVEN_COST
    """bcrypt cost of given passwords, 10 or more."""
    rotation: str = ""
    """Another text makes new passwords for the users that have generated ones."""


class Credentials(pulumi.ComponentResource):
    """bcrypt logins for the registry.

    A hash stays the same from one `up` to the next: its salt is kept in the state.
    """

    passwords: pulumi.Output[Mapping[str, str]]
    """Password by user, secret."""
    secret: docker.Secret
    """The htpasswd file."""

    def __init__(
        self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Credentials", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        passwords: dict[str, pulumi.Output[str]] = {}
        lines: list[pulumi.Output[str]] = []
        for user in args.users:
            password, cost = args.passwords.get(user), args.cost
            if password is None:
                cost = GENERATED_COST
                password = random.RandomPassword(
                    f"{name}-{user}",
                    length=GENERATED_LENGTH,
                    special=False,
                    keepers={"rotation": args.rotation},
                    opts=child,
                ).result
            salt = random.RandomBytes(f"{name}-{user}-salt", length=16, opts=child).base64
            passwords[user] = pulumi.Output.secret(password)
            lines.append(_line(user, passwords[user], salt, cost))
        text = pulumi.Output.all(*lines).apply(lambda all_: "".join(f"{line}\n" for line in all_))
        self.secret = swarm_secret(f"{name}-htpasswd", args.stack_name, text, child)
        self.passwords = pulumi.Output.all(**passwords)
        self.register_outputs({"passwords": self.passwords})


def _line(
    user: str, password: pulumi.Output[str], salt: pulumi.Output[str], cost: int
) -> pulumi.Output[str]:
    return pulumi.Output.all(password, salt).apply(
        lambda both: htpasswd_line(user, both[0], base64.b64decode(both[1]), cost)
    )


def htpasswd_line(user: str, password: str, salt: bytes, cost: int) -> str:
    """`user:hash` as the registry reads it, the same for the same arguments.

    `salt` is 16 random bytes. `ValueError` when the password is longer than bcrypt takes.
    """
    text = base64.b64encode(salt).translate(bytes.maketrans(_STANDARD, _BCRYPT)).rstrip(b"=")
    digest = bcrypt.hashpw(password.encode(), b"$2b$%02d$" % cost + text)
    return f"{user}:{digest.decode()}"
