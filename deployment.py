"""What one stack deploys, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pulumi

import components as parts
from components.distribution.config import DATA_PATH
from components.run.takeover import takeover
from components.run.target import Target
from components.storage import STORAGES, destroy_hook
from components.swarm.images import PinnedImages
from components.swarm.ownership import owned
from components.swarm.retry import retry_undone
from components.swarm.rollback import guard_rollbacks
from components.swarm.rollout import running
from components.swarm.service import SwarmService, service_name
from components.traefik.flags import STORAGE_PATH
from settings import Settings
from settings.failure import rollout_args
from settings.logins import declare_logins
from settings.maintenance import declare_maintenance
from settings.outputs import export
from settings.storages import declare_storages

ENGINE = "engine"
"""Pulumi's name of the docker provider."""


class Deployment:
    """The parts of one stack; a `RunError` says what stands against it."""

    def __init__(self, settings: Settings, target: Target) -> None:
        swarm, deployed = target.swarm, target.deployed
        self._settings, self._target = settings, target
        prefix = "" if target.has_former_secrets else settings.stack.name
        self._stack = replace(settings.stack, secret_prefix=prefix)
        self._opts = pulumi.ResourceOptions(
            providers={"docker": swarm.engine.provider(ENGINE)},
            transformations=[owned(swarm, deployed, takeover()), retry_undone(swarm)],
        )
        self._storages = declare_storages(settings, self._stack, target, self._opts)
        network = parts.PublicNetworkArgs(stack=self._stack, options=settings.network)
        self._network_id = parts.PublicNetwork("network", network, self._opts).network_id
        further = swarm.further_networks(settings.networks)
        self._networks: list[pulumi.Input[str]] = [self._network_id, *further]
        self._rollout = rollout_args(
            settings,
            undo=lambda: [target.explain(e) for each in self._storages if (e := each.undo_move())],
        )
        self._logins = declare_logins(
            settings, self._stack, target, self._rollout, self._network_id, self._opts
        )
        proxies = self._declare_proxies(settings.proxy) if settings.proxy else []
        self._redis = self._declare_redis(settings.redis) if settings.redis else None
        self._registry = self._declare_registry()
        caches = [self._redis.service] if self._redis else []
        self._services = [self._registry.service, *caches, *proxies, *self._declare_mirrors()]
        self._services += self._logins.services
        self._services += declare_maintenance(
            settings, self._stack, target, self._rollout, self._registry, self._opts
        )

    def _declare_proxies(self, options: parts.ProxyOptions) -> Sequence[SwarmService]:
        routes, certificates = self._settings.routes, self._storages.certificates
        socket_proxy = dashboard = None
        if socket_options := self._settings.socket_proxy:
            socket_args = parts.SocketProxyArgs(stack=self._stack, options=socket_options)
            socket_proxy = parts.SocketProxy("socket-proxy", socket_args, self._opts)
        if self._logins.dashboard and routes.dashboard:
            users = self._logins.dashboard.secret
            dashboard = parts.Dashboard(route=routes.dashboard, users=users)
        runs = self._target.swarm.services.get(service_name(self._stack.name, "proxy"))
        args = parts.ProxyArgs(
            stack=self._stack,
            options=options,
            route=routes.registry,
            network_id=self._network_id,
            data=certificates.at(STORAGE_PATH) if certificates else parts.MountedData(),
            dashboard=dashboard,
            socket_proxy=socket_proxy,
            running_flags=runs.args if runs else (),
        )
        proxy = parts.Proxy("proxy", args, self._opts)
        return [proxy.service, *([socket_proxy.service] if socket_proxy else [])]

    def _declare_redis(self, options: parts.RedisOptions) -> parts.Redis:
        return parts.Redis("redis", parts.RedisArgs(stack=self._stack, options=options), self._opts)

    def _declare_registry(self) -> parts.Registry:
        args = parts.RegistryArgs(
            stack=self._stack,
            options=self._settings.registry,
            route=self._settings.routes.registry,
            networks=self._networks,
            htpasswd=self._logins.htpasswd,
            jwks=self._logins.jwks,
            data=self._storages.images.at(DATA_PATH),
            redis=self._redis,
            collected=self._settings.gc is not None,
        )
        return parts.Registry("registry", args, self._opts)

    def _declare_mirrors(self) -> Sequence[SwarmService]:
        """Return the services that are waited for: none while the cache's node is away."""
        storage = self._storages.mirrors
        if storage is None:
            return []
        args = parts.MirrorsArgs(
            stack=self._stack,
            options=self._settings.registry,
            mirrors=self._settings.mirrors,
            routes=self._settings.routes.mirrors,
            networks=self._networks,
            htpasswd=self._logins.htpasswd,
            jwks=self._logins.jwks,
            data=storage.at(DATA_PATH),
        )
        mirrors = parts.Mirrors("mirrors", args, self._opts)
        return mirrors.services if storage.available else []

    def finish(self, images: PinnedImages) -> None:
        """Wait until all services run, remember where the data are and what runs, and export."""
        ready = running(self._target, self._services, self._rollout)
        ready = guard_rollbacks(self._target, self._services, ready)
        for storage in self._storages:
            storage.remember(ready)
        images.remember(ready)
        export(
            self._settings,
            ready,
            login=self._logins.registry,
            dashboard_login=self._logins.dashboard,
            service=self._registry.service.resource.name,
            node=self._storages.images.node,
        )


def remove(target: Target) -> None:
    """Declare the engine, and nothing else: for `pulumi destroy --run-program`."""
    target.swarm.engine.provider(ENGINE)
    for name in STORAGES:
        destroy_hook(name, target)
