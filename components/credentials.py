"""Who may log in: users, their passwords, and the file with their hashes as a Swarm secret."""

from __future__ import annotations

import base64
import hmac
import json
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

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
class PasswordVersion:
    """One of the generated passwords of a user."""

    version: str
    """Any text without blanks; another one, another password. The first is `1`."""
    until: str | None = None
    """When it counts no more, such as `2026-11-27T10:00:00Z`; None: it goes on."""


FIRST_VERSION = PasswordVersion(version="1")
"""Of users for whom no version is named."""


@dataclass(frozen=True, kw_only=True)
class FormerPassword:
    """A password that still counts beside the one that has replaced it."""

    password: pulumi.Input[str] = field(repr=False)
    until: str
    """When it counts no more, such as `2026-11-27T10:00:00Z`."""


@dataclass(frozen=True, kw_only=True)
class CredentialsOptions:
    """Who may log in."""

    users: Sequence[str] = DEFAULT_USERS
    """Names without ':'; at least one, unless there are `hashes`."""
    passwords: Mapping[str, pulumi.Input[str]] = field(default_factory=dict, repr=False)
    """Given passwords by user, 72 bytes at the most each; the others get a generated one."""
    cost: int = MIN_GIVEN_COST
    """bcrypt cost of given passwords, 10 or more; generated ones need no slow hash."""
    rotation: str = ""
    """Any text; another one makes new passwords for the users that have generated ones."""
    versions: Mapping[str, Sequence[PasswordVersion]] = field(default_factory=dict)
    """Generated passwords by user, the newest one first; of the others a token server alone knows.
    Users without any have version 1."""
    former: Mapping[str, FormerPassword] = field(default_factory=dict)
    """By user, for a token server."""
    hashes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Hashes (apr1 or bcrypt) of further users, for a token server."""
    seeds: Mapping[str, pulumi.Input[str]] = field(default_factory=dict, repr=False)
    """SEED_BYTES in base64 that passwords are generated from, by name of the component. Others have
    random ones, which the state keeps."""


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    """Arguments of `Credentials`."""

    stack: SwarmStack
    options: CredentialsOptions = CredentialsOptions()
    form: Literal["htpasswd", "users"] = "htpasswd"
    """Of the file: lines of logins, or the JSON of a token server, in which a user may have several
    passwords at a time."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """One password of one user."""

    user: str
    password: str = field(repr=False)
    cost: int
    """Of bcrypt."""
    salt: bytes = field(repr=False)
    until: str | None = None
    """When it counts no more; None: it goes on."""


class Credentials(pulumi.ComponentResource):
    """bcrypt logins for the registry.

    Passwords and salts are derived from one seed, which is given or kept in the state: so they
    stay the same from one `up` to the next, and a hundred users are one resource. A user who is
    taken out and comes back has the password of before, unless `rotation` has changed.
    """

    passwords: pulumi.Output[Mapping[str, str]]
    """Password by user, secret."""
    secret: docker.Secret
    """The file with their hashes."""

    def __init__(
        self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Credentials", name, None, opts)
        child, options = pulumi.ResourceOptions(parent=self), args.options
        seed = _seed(name, options, child).apply(base64.b64decode)
        former = {user: each.password for user, each in options.former.items()}
        logins = pulumi.Output.all(
            seed, pulumi.Output.secret(dict(options.passwords)), pulumi.Output.secret(former)
        ).apply(lambda parts: list(_logins(options, *parts)))
        self.passwords = logins.apply(
            lambda logins: {user: login.password for user, login in _newest(logins).items()}
        )
        if args.form == "users":
            text = logins.apply(lambda logins: users_file(logins, options.hashes))
        else:
            text = logins.apply(htpasswd_file)
        self.secret = args.stack.secret(f"{name}-{args.form}", text, child)
        self.register_outputs({"passwords": self.passwords})


def _seed(
    name: str, options: CredentialsOptions, opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Return the seed in base64: the given one, else one that is made once a rotation."""
    if name in options.seeds:
        return pulumi.Output.secret(options.seeds[name])
    keepers = {"rotation": options.rotation}
    return random.RandomBytes(f"{name}-seed", length=SEED_BYTES, keepers=keepers, opts=opts).base64


def _logins(
    options: CredentialsOptions, seed: bytes, given: Mapping[str, str], former: Mapping[str, str]
) -> Iterator[Login]:
    """Yield all passwords; of each user the newest one first."""
    for user in options.users:
        if password := given.get(user):
            salt = _derived(seed, "salt", user)[:SALT_BYTES]
            yield Login(user=user, password=password, cost=options.cost, salt=salt)
        else:
            yield from _generated(options, seed, user)
        if password := former.get(user):
            yield Login(
                user=user,
                password=password,
                cost=options.cost,
                salt=_derived(seed, "former-salt", user)[:SALT_BYTES],
                until=options.former[user].until,
            )


def _generated(options: CredentialsOptions, seed: bytes, user: str) -> Iterator[Login]:
    """Yield the generated passwords of a user."""
    for each in options.versions.get(user) or [FIRST_VERSION]:
        yield Login(
            user=user,
            password=generated_password(seed, user, each.version),
            cost=GENERATED_COST,
            salt=_derived(seed, "salt", user, each.version)[:SALT_BYTES],
            until=each.until,
        )


def _newest(logins: Sequence[Login]) -> Mapping[str, Login]:
    """Return the newest login of each user."""
    newest = dict[str, Login]()
    for login in logins:
        newest.setdefault(login.user, login)
    return newest


def htpasswd_file(logins: Sequence[Login]) -> str:
    """Return the newest login of each user, as the registry and Traefik read them."""
    return "".join(
        f"{htpasswd_line(user, login.password, login.salt, login.cost)}\n"
        for user, login in _newest(logins).items()
    )


def users_file(logins: Sequence[Login], hashes: Mapping[str, str]) -> str:
    """Return all logins, and the `hashes` of further users, as a token server reads them."""
    entries = [
        {"user": login.user, "hash": _hash(login.password, login.salt, login.cost)}
        | ({"until": login.until} if login.until else {})
        for login in logins
    ]
    entries += [{"user": user, "hash": text} for user, text in hashes.items()]
    return json.dumps(entries, indent=2)


def generated_password(seed: bytes, user: str, version: str = FIRST_VERSION.version) -> str:
    """Return the password of `user`, GENERATED_LENGTH letters and digits.

    Another seed or version gives another one.
    """
    number = int.from_bytes(_derived(seed, "password", user, version), "big")
    letters = []
    for _ in range(GENERATED_LENGTH):
        number, which = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[which])
    return "".join(letters)


def _derived(seed: bytes, purpose: str, user: str, version: str = FIRST_VERSION.version) -> bytes:
    """Return 64 bytes that tell nothing of the seed, nor of another user's or purpose's (HMAC)."""
    # The first version is that of stacks that know no others. Neither a user nor a version has a
    # blank in it, so no two of them make the same text.
    parts = [purpose, user, *([] if version == FIRST_VERSION.version else [version])]
    return hmac.digest(seed, " ".join(parts).encode(), "sha512")


def htpasswd_line(user: str, password: str, salt: bytes, cost: int) -> str:
    """Return `user:hash` as the registry reads it, the same for the same arguments.

    `salt` is 16 random bytes. `ValueError` when the password is longer than bcrypt takes.
    """
    return f"{user}:{_hash(password, salt, cost)}"


def _hash(password: str, salt: bytes, cost: int) -> str:
    text = base64.b64encode(salt).translate(bytes.maketrans(_STANDARD, _BCRYPT)).rstrip(b"=")
    return bcrypt.hashpw(password.encode(), b"$2b$%02d$" % cost + text).decode()
