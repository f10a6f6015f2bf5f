"""Parts of a private Docker registry on Docker Swarm, as Pulumi components.

Each component is a class with its arguments (`…Args`), which are of two kinds: options, that is
what somebody may choose (`…Options`, plain values with defaults), and inputs from other resources.
What they rest on is in the packages below: `swarm`, `distribution`, `traefik`, `run`.

The names here are imported when they are first asked for. `ops` uses some modules of this package
on the machine's bare Python, which has no Pulumi.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.backup import Backup, BackupArgs, BackupLocation, BackupOptions
    from components.credentials import (
        Credentials,
        CredentialsArgs,
        CredentialsOptions,
        FormerPassword,
        PasswordVersion,
    )
    from components.distribution.tool import StorageAccess
    from components.garbage_collection import (
        GarbageCollection,
        GarbageCollectionArgs,
        GarbageCollectionOptions,
    )
    from components.mirrors import MirrorOptions, Mirrors, MirrorsArgs
    from components.network import NetworkOptions, PublicNetwork, PublicNetworkArgs
    from components.proxy import Dashboard, Proxy, ProxyArgs, ProxyOptions
    from components.redis import Redis, RedisArgs, RedisOptions
    from components.registry import Registry, RegistryArgs, RegistryOptions
    from components.retention import RetentionRule
    from components.socket_proxy import SocketProxy, SocketProxyArgs, SocketProxyOptions
    from components.storage import Storage, StorageArgs, VolumeOptions
    from components.swarm.stack import Logs, SwarmStack
    from components.swarm.task import MountedData
    from components.token_server import (
        AccessRule,
        TokenServer,
        TokenServerArgs,
        TokenServerOptions,
    )
    from components.traefik.route import Https, Route

__all__ = [
    "AccessRule",
    "Backup",
    "BackupArgs",
    "BackupLocation",
    "BackupOptions",
    "Credentials",
    "CredentialsArgs",
    "CredentialsOptions",
    "Dashboard",
    "FormerPassword",
    "GarbageCollection",
    "GarbageCollectionArgs",
    "GarbageCollectionOptions",
    "Https",
    "Logs",
    "MirrorOptions",
    "Mirrors",
    "MirrorsArgs",
    "MountedData",
    "NetworkOptions",
    "PasswordVersion",
    "Proxy",
    "ProxyArgs",
    "ProxyOptions",
    "PublicNetwork",
    "PublicNetworkArgs",
    "Redis",
    "RedisArgs",
    "RedisOptions",
    "Registry",
    "RegistryArgs",
    "RegistryOptions",
    "RetentionRule",
    "Route",
    "SocketProxy",
    "SocketProxyArgs",
    "SocketProxyOptions",
    "Storage",
    "StorageAccess",
    "StorageArgs",
    "SwarmStack",
    "TokenServer",
    "TokenServerArgs",
    "TokenServerOptions",
    "VolumeOptions",
]

_MODULES = (
    "backup",
    "credentials",
    "distribution.tool",
    "garbage_collection",
    "mirrors",
    "network",
    "proxy",
    "redis",
    "registry",
    "socket_proxy",
    "storage",
    "swarm.stack",
    "swarm.task",
    "token_server",
    "traefik.route",
)


def __getattr__(name: str) -> object:
    """Return a component, or its arguments, by name."""
    if name in __all__:
        for module in _MODULES:
            content = vars(importlib.import_module(f"components.{module}"))
            if name in content:
                return content[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
