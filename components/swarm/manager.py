"""What stands against deployments to an engine: it isn't a manager of a swarm that works.

Standard library only: commands use it before anything is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from components.swarm.engine_errors import NotAManagerError, SwarmUnavailableError
from components.swarm.engine_kind import ROOTLESS, is_rootless


def require_manager(
    host: str, swarm: Mapping[str, Any], security_options: Iterable[str] = ()
) -> None:
    """Raise `EndpointError` unless the engine at `host` is a manager, and can run services.

    `swarm` and `security_options` are what its `docker info` has by these names.
    """
    if is_rootless(security_options):
        raise SwarmUnavailableError(host=host, reason=f"{ROOTLESS}.")
    if reason := _unavailable(swarm):
        raise SwarmUnavailableError(host=host, reason=reason)
    if not swarm.get("ControlAvailable"):
        managers = [peer["Addr"] for peer in swarm.get("RemoteManagers") or []]
        raise NotAManagerError(host=host, managers=managers)


def _unavailable(swarm: Mapping[str, Any]) -> str:
    """Return why an engine's swarm can't be used, and what to type there; empty when it can be."""
    state = swarm.get("LocalNodeState")
    match state:
        case "active":
            return ""
        case "inactive":
            return "isn't part of a swarm. On that machine, type:\n      docker swarm init"
        case "locked":
            return (
                "is a manager whose swarm is locked (autolock). On that machine, type:\n"
                "      docker swarm unlock"
            )
    error = swarm.get("Error") or "no reason given"
    return (
        f"is in a swarm, and {state}: {error}. See `docker info` there, and try again when it is"
        " active."
    )
