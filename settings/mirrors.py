"""`registry:mirrors`: pull-through caches of other registries."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from components.distribution.config import HUB, Upstream
from components.mirrors import MirrorOptions
from settings import rules
from settings.networks import NETWORK, admit_everybody
from settings.reader import Reader

HUB_NAMES = ("docker.io", "hub.docker.com", "index.docker.io", "www.docker.com")
"""Names that people have for Docker Hub; its registry answers at none of them."""
KEYS = ("upstream", "domain", "allow", "username", "password", "ttl", "ca")


def parse_mirrors(reader: Reader, image: str) -> tuple[MirrorOptions, ...]:
    """Return all mirrors, by name; note in `reader` what is wrong with them.

    They run the registry's `image`.
    """
    return tuple(replace(mirror, image=image) for mirror in _mirrors(reader))


def admits(allow: Iterable[str], address: str) -> bool:
    """Return whether `address` is in one of the networks."""
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in allow)


def _mirrors(reader: Reader) -> Iterator[MirrorOptions]:
    reader.unshare("mirrors", "each has a host name that leads to one stack")
    for name, values in sorted(reader.mapping("mirrors", "…").items()):
        path = f"mirrors.{name}"
        if not rules.MIRROR.admits(name):
            reader.problem(path, f"has a wrong name: it must be {rules.MIRROR.must}.")
        elif (parts := reader.map_at(path, values, KEYS)) is not None:
            yield _mirror(reader, name, path, parts)


def _mirror(reader: Reader, name: str, path: str, values: Mapping[str, Any]) -> MirrorOptions:
    return MirrorOptions(
        name=name,
        domain=reader.part(path, values, "domain", rules.DOMAIN) or f"{name}.example.com",
        upstream=_upstream(reader, path, values),
        allow=_allow(reader, path, values),
        ca=reader.pem_part(f"{path}.ca", values["ca"], "CERTIFICATE") if "ca" in values else None,
    )


def _upstream(reader: Reader, path: str, values: Mapping[str, Any]) -> Upstream:
    url = reader.part(path, values, "upstream", rules.UPSTREAM) or ""
    if url.partition("://")[2] in HUB_NAMES:
        reason = "is a name of Docker Hub's where its registry doesn't answer."
        reader.problem(f"{path}.upstream", reason, HUB, path=True)
    username = reader.part(path, values, "username", rules.LINE, None)
    password = values.get("password")
    if password is not None:
        reader.secret("mirrors", path.partition(".")[2], "password")
        if not isinstance(password, str) or not password:
            reader.problem(f"{path}.password", "must be a text that isn't empty.")
    if (username is None) != (password is None):
        missing = "username" if username is None else "password"
        flags = " --secret" if missing == "password" else ""
        command = reader.command("set", f"{path}.{missing}", path=True, flags=flags)
        reason = "is missing: name and password go together."
        reader.problem(f"{path}.{missing}", f"{reason}\n      {command}")
    if username and url.startswith("http:"):
        reason = "is plain HTTP, and the login for it would travel in plain text."
        reader.problem(f"{path}.upstream", reason, f"https:{url[5:]}", path=True)
    ttl = reader.part(path, values, "ttl", rules.TTL, Upstream.ttl) or Upstream.ttl
    return Upstream(url=url, ttl=ttl, username=username, password=password)


def _allow(reader: Reader, path: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    if "allow" not in values:
        return ()
    allow = reader.list_at(f"{path}.allow", values["allow"], NETWORK, required=True)
    if admit_everybody(allow) and "username" in values:
        reason = "is everybody, who could then pull what only the upstream's login may."
        reader.remove(f"{path}.allow", reason)
    return allow
