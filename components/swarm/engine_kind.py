"""Kinds of Docker engines that can't run a stack, or not all of it, as `docker info` tells them.

Standard library only: commands use it before anything is installed.
"""

from __future__ import annotations

from collections.abc import Iterable

ROOTLESS = (
    "runs rootless, and so has no overlay networks, which services need. Use an engine that runs"
    " as root"
)
_CLOSED_SOCKETS = {
    "userns": "maps users (userns-remap), and so a container's root may not open Docker's socket",
    "selinux": "enforces SELinux, and so a container may not open Docker's socket, unless a policy"
    " of your own lets it",
}


def is_rootless(security_options: Iterable[str]) -> bool:
    """Return whether the engine runs as an ordinary user."""
    return "rootless" in _names(security_options)


def closed_sockets(security_options: Iterable[str]) -> list[str]:
    """Return the reasons why a container can't talk to the engine through its socket."""
    names = _names(security_options)
    return [reason for name, reason in _CLOSED_SOCKETS.items() if name in names]


def _names(security_options: Iterable[str]) -> set[str]:
    """Return the names among options such as `name=seccomp,profile=builtin`."""
    parts = [part for option in security_options for part in option.split(",")]
    return {part.partition("=")[2] for part in parts if part.startswith("name=")}
