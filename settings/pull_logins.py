"""`registry:pullLogins`: what private images are pulled with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.swarm.pull_login import HUB_HOSTS, PullLogin
from settings import rules
from settings.reader import Reader
from settings.stack_file import path_of

KEY = "pullLogins"
PARTS = ("username", "password")


def parse_pull_logins(reader: Reader) -> Mapping[str, PullLogin]:
    """Return the logins by host of their registry; notes in `reader` what is wrong with them."""
    return dict(_logins(reader))


def _logins(reader: Reader) -> Iterator[tuple[str, PullLogin]]:
    for host, values in sorted(reader.mapping(KEY, "…").items()):
        path = path_of(KEY, host)
        if host in HUB_HOSTS:
            reason = (
                "can't be passed on: images of Docker Hub are named without it, and so Docker's"
                " provider sends no login for them. Copy the image to another registry."
            )
            reader.remove(path, reason)
        elif not rules.REGISTRY.admits(host):
            example = path_of(KEY, "ghcr.io", "username")
            reason = (
                f"has a wrong name: it must be {rules.REGISTRY.must}. A dot separates, unless the"
                f" name is quoted: 'registry:{example}'."
            )
            reader.remove(path, reason)
        elif (parts := reader.map_at(path, values, PARTS)) is not None:
            yield host, _login(reader, host, parts)


def _login(reader: Reader, host: str, values: Mapping[str, Any]) -> PullLogin:
    username = reader.part(path_of(KEY, host), values, "username", rules.LINE) or ""
    reader.secret(KEY, host, "password")
    password = values.get("password")
    if not isinstance(password, str) or not password:
        path = path_of(KEY, host, "password")
        command = reader.command("set", path, path=True, flags=" --secret")
        reader.problem(path, f"must be a text that isn't empty.\n      {command}")
    return PullLogin(username=username, password=str(password))
