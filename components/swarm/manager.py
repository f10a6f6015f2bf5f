"""What stands against deployments to an engine: it isn't a manager of a swarm that works.

Standard library only: commands use it before anything is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from components.swarm.endpoint import EndpointError
from components.swarm.engine_kind import ROOTLESS, is_rootless


def require_manager(
    host: str, swarm: Mapping[str, Any], security_options: Iterable[str] = ()
) -> None:
    """Raise `EndpointError` unless the engine at `host` is a manager, and can run services.

    `swarm` and `security_options` are what its `docker info` has by these names.
    """
    if is_rootless(security_options):
        raise EndpointError(f"The Docker engine at {host} {ROOTLESS}.")
    state = swarm.get("LocalNodeState")
    if state == "locked":
        raise EndpointError(
            f"The Docker engine at {host} is a manager whose swarm is locked (autolock)."
            " On that machine, type:\n      docker swarm unlock"
        )
    if state not in ("active", "inactive"):
        error = swarm.get("Error") or "no reason given"
        raise EndpointError(
            f"The Docker engine at {host} is in a swarm, and {state}: {error}. See `docker"
            " info` there, and try again when it is active."
        )
    if state != "active":
        raise EndpointError(
            f"The Docker engine at {host} isn't part of a swarm. On that machine, type:\n"
            "      docker swarm init"
        )
    if not swarm.get("ControlAvailable"):
        managers = ", ".join(peer["Addr"] for peer in swarm.get("RemoteManagers") or [])
        raise EndpointError(
            f"The Docker engine at {host} is a worker, and only a manager takes deployments."
            f" Managers of its swarm: {managers}. Type:\n"
            "      pulumi config set docker:host ssh://USER@MANAGER"
        )
