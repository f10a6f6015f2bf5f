"""What the machines that pull need to use the mirrors: lines for Docker and for containerd."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.distribution.config import HUB
from ops.bootstrap.console import UserError
from ops.stack import Stack

HUB_NAME = "docker.io"
"""Docker Hub in the names of images; Docker supports mirrors for it alone."""
_SINCE = "  # containerd 2.1 or later: earlier ones ask for a token without it, as a stranger\n"


def show(stack: Stack) -> None:
    """Print what the nodes need to know of the stack's mirrors."""
    mirrors = stack.outputs.mirrors
    if not mirrors:
        raise UserError(
            f"stack {stack.name} has no mirrors; such as:\n"
            f"      pulumi config set --stack {stack.name} --path registry:mirrors.hub.upstream"
            f" {HUB}\n"
            f"      pulumi config set --stack {stack.name} --path registry:mirrors.hub.domain"
            " mirror.example.com\n"
            f"      make deploy STACK={stack.name}"
        )
    print(lines(mirrors, tokens=stack.outputs.has_tokens))


def lines(mirrors: Mapping[str, Mapping[str, Any]], *, tokens: bool = False) -> str:
    """Return the output `mirrors` of a stack as text for a person, without secrets.

    With `tokens`, those that ask for a login take tokens in its place.
    """
    parts = [_daemon_json(mirrors)]
    parts += [_containerd(mirror, tokens) for _, mirror in sorted(mirrors.items())]
    parts += [_by_name(mirror) for _, mirror in sorted(mirrors.items()) if _needs_a_name(mirror)]
    return "\n".join(filter(None, parts))


def _daemon_json(mirrors: Mapping[str, Mapping[str, Any]]) -> str:
    urls = [each["url"] for each in mirrors.values() if not _needs_a_name(each)]
    if not urls:
        return ""
    text = json.dumps({"registry-mirrors": urls}, indent=2)
    return (
        "Docker, in /etc/docker/daemon.json on each node; then: systemctl reload docker\n\n"
        f"{text}\n"
    )


def _containerd(mirror: Mapping[str, Any], tokens: bool) -> str:
    upstream, url = mirror["upstream"], mirror["url"]
    text = (
        f"containerd, in /etc/containerd/certs.d/{_known_as(upstream)}/hosts.toml\n\n"
        f'server = "{upstream}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
    )
    if mirror["login"]:
        text += (
            f'\n[host."{url}".header]\n'
            f"{_SINCE if tokens else ''}"
            "  # printf %s USER:PASSWORD | base64\n"
            '  Authorization = "Basic …"\n'
        )
    return text


def _by_name(mirror: Mapping[str, Any]) -> str:
    host = mirror["url"].partition("://")[2]
    name = _known_as(mirror["upstream"])
    image = "library/alpine" if name == HUB_NAME else "IMAGE"
    reason = (
        "it sends no login to a mirror (registry:mirrors.NAME.allow lets networks pull without)"
        if name == HUB_NAME
        else "it mirrors Docker Hub alone"
    )
    login = f"docker login {host} && " if mirror["login"] else ""
    return (
        f"Docker, for {name}, by the mirror's name: {reason}\n\n{login}docker pull {host}/{image}\n"
    )


def _needs_a_name(mirror: Mapping[str, Any]) -> bool:
    return mirror["login"] or _known_as(mirror["upstream"]) != HUB_NAME


def _known_as(upstream: str) -> str:
    host = upstream.partition("://")[2]
    return HUB_NAME if upstream == HUB else host
