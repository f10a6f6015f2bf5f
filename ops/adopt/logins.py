"""The logins of the original, and those of the stack that it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ops.adopt.configuration import Configuration
from ops.adopt.original import Read, UnreadableError
from ops.adopt.route import Routing

_REMEDY = "With LOGINS=new there will be new passwords for registry:users"


@dataclass(frozen=True)
class Logins:
    """Logins of the original."""

    hashes: Mapping[str, str] = field(repr=False)
    """Hashes of the passwords, by user, of those who get in now."""
    obstacles: Sequence[str] = ()
    """Sentences about logins that can't be read."""


def read_logins(
    configuration: Configuration, routing: Routing, read: Read, choice: str | None
) -> Logins:
    """Return the original's logins; those that can't be read are obstacles unless new are made."""
    obstacles = []
    if routing.users_file:
        obstacles.append(
            f"the logins in {routing.users_file} would be lost: that is a file of Traefik's, which"
            f" can't be read from here. {_REMEDY}"
        )
    hashes = routing.logins
    if configuration.htpasswd:
        text, reason = None, "isn't there"
        try:
            text = read(configuration.htpasswd)
        except UnreadableError as error:
            reason = str(error)
        if text is None:
            obstacles.append(
                f"the logins in {configuration.htpasswd} would be lost: it {reason}. {_REMEDY}"
            )
        else:
            hashes = _allowed(_htpasswd(text), routing.logins)
    return Logins(hashes, [] if choice == "new" else obstacles)


def _htpasswd(text: str) -> Mapping[str, str]:
    """Return the bcrypt hashes of a file; the registry ignores other hashes."""
    lines = [line.split(":", 1) for line in text.split() if not line.startswith("#")]
    return {line[0]: line[1] for line in lines if len(line) == 2 and line[1].startswith("$2")}


def _allowed(by_registry: Mapping[str, str], by_traefik: Mapping[str, str]) -> Mapping[str, str]:
    """Return the hashes of users who get in; where Traefik asks too, it has to know them."""
    return {
        user: value for user, value in by_registry.items() if not by_traefik or user in by_traefik
    }


def describe_logins(
    configuration: Configuration,
    routing: Routing,
    logins: Logins,
    choice: str | None,
    *,
    tokens: bool,
) -> str:
    """Return a sentence about the stack's logins; with `tokens` its token server checks them."""
    users = ", ".join(sorted(logins.hashes))
    if not users and not configuration.htpasswd and not routing.users_file:
        return "nobody had to log in, and from now on everybody has to: registry:users"
    if not users:
        return "new passwords for registry:users; the old logins are given up"
    if choice != "keep":
        reason = "" if configuration.htpasswd else "the registry can't use their hashes: "
        return f"of {users}: {reason}new passwords (LOGINS=keep keeps the old ones)"
    if tokens:
        return f"of {users}: kept, the token server asks for them; no label has their hashes"
    if configuration.htpasswd:
        return (
            f"of {users}: kept, Traefik asks for them, and the registry itself no longer; their"
            " hashes are in a label"
        )
    return f"of {users}: kept, Traefik asks for them as before"
