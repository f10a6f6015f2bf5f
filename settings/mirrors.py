"""`registry:mirrors`: pull-through caches of other registries."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.distribution.config import HUB, Upstream
from settings import rules
from settings.reader import Reader, admit_everybody, close_to
from settings.stack_file import path_of

HUB_NAMES = ("docker.io", "hub.docker.com", "index.docker.io", "www.docker.com")
"""What people call Docker Hub; its registry answers at none of them."""
KEYS = ("upstream", "domain", "allow", "username", "password", "ttl", "ca")
TTL = "168h"
"""Default: a week, as the registry has it."""


@dataclass(frozen=True, kw_only=True)
class MirrorSettings:
    """What one mirror is told."""

    name: str
    domain: str
    """Public host name, no scheme. Required."""
    upstream: Upstream = field(repr=False)
    """`upstream` (required), `username`, `password` (a secret) and `ttl` (default a week)."""
    allow: tuple[str, ...]
    """Addresses and networks that may pull without a login. Default: whoever has a login of the
    registry may, and nobody else."""
    ca: str | None
    """PEM: authority of the upstream's certificate, besides those that the image trusts."""


def parse_mirrors(reader: Reader) -> tuple[MirrorSettings, ...]:
    """All mirrors, by name; notes in `reader` what is wrong with them."""
    return tuple(_mirrors(reader))


def admits(allow: Iterable[str], address: str) -> bool:
    """Return whether `address` is in one of the networks."""
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in allow)


def _mirrors(reader: Reader) -> Iterator[MirrorSettings]:
    reader.unshare("mirrors", "each has a host name that leads to one stack")
    for name, told in sorted(reader.mapping("mirrors", "…").items()):
        path = f"mirrors.{name}"
        if not rules.MIRROR.admits(name):
            reader.problem(path, f"has a wrong name: it must be {rules.MIRROR.must}.")
        elif not isinstance(told, Mapping):
            what = "must be a map with upstream and domain."
            reader.problem(path, what)
        else:
            yield _mirror(reader, name, path, told)


def _mirror(reader: Reader, name: str, path: str, told: Mapping[str, Any]) -> MirrorSettings:
    for key in sorted(set(told) - set(KEYS)):
        reader.remove(
            path_of(*path.split("."), key), f"is not a setting of a mirror.{close_to(key, KEYS)}"
        )
    return MirrorSettings(
        name=name,
        domain=reader.part(path, told, "domain", rules.DOMAIN) or f"{name}.example.com",
        upstream=_upstream(reader, path, told),
        allow=_allow(reader, path, told),
        ca=reader.pem_part(f"{path}.ca", told["ca"], "CERTIFICATE") if "ca" in told else None,
    )


def _upstream(reader: Reader, path: str, told: Mapping[str, Any]) -> Upstream:
    url = reader.part(path, told, "upstream", rules.UPSTREAM) or ""
    if url.partition("://")[2] in HUB_NAMES:
        what = "is a name of Docker Hub's where its registry doesn't answer."
        reader.problem(f"{path}.upstream", what, HUB, path=True)
    username = reader.part(path, told, "username", rules.LINE, None)
    password = told.get("password")
    if password is not None:
        reader.secret("mirrors", path.partition(".")[2], "password")
        if not isinstance(password, str) or not password:
            reader.problem(f"{path}.password", "must be a text that isn't empty.")
    if (username is None) != (password is None):
        missing = "username" if username is None else "password"
        flags = " --secret" if missing == "password" else ""
        command = reader.command("set", f"{path}.{missing}", path=True, flags=flags)
        what = "is missing: name and password go together."
        reader.problem(f"{path}.{missing}", f"{what}\n      {command}")
    if username and url.startswith("http:"):
        what = "is plain HTTP, and the login for it would travel in plain text."
        reader.problem(f"{path}.upstream", what, f"https:{url[5:]}", path=True)
    ttl = reader.part(path, told, "ttl", rules.TTL, TTL) or TTL
    return Upstream(url=url, ttl=ttl, username=username, password=password)


def _allow(reader: Reader, path: str, told: Mapping[str, Any]) -> tuple[str, ...]:
    if "allow" not in told:
        return ()
    allow = reader.networks(f"{path}.allow", told["allow"])
    if admit_everybody(allow) and "username" in told:
        what = "is everybody, who could then pull what only the upstream's login may."
        reader.remove(f"{path}.allow", what)
    return allow
