"""The registry service."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_random as random

from components.distribution.config import (
    CA_FILE,
    CONFIG_PATH,
    HTPASSWD_PATH,
    JWKS_PATH,
    REGISTRY_IMAGE,
    Secrets,
    Wiring,
    document,
)
from components.distribution.service import (
    TaskArgs,
    TaskOptions,
    registry_service,
    registry_task,
)
from components.distribution.tool import StorageAccess
from components.redis import Redis
from components.swarm.service import SwarmService
from components.traefik.route import Route


@dataclass(frozen=True, kw_only=True)
class RegistryOptions(TaskOptions):
    """Options of a registry."""

    image: str = REGISTRY_IMAGE
    replicas: int = 1
    """Tasks; more than one need an object store, or a volume that every node sees."""
    spread: str | None = None
    """Node label over whose values the tasks are spread, such as `node.labels.zone`; None: over
    nodes, as Swarm does by itself."""


@dataclass(frozen=True, kw_only=True)
class RegistryArgs(TaskArgs):
    """Arguments of `Registry`."""

    options: RegistryOptions = RegistryOptions()
    route: Route
    redis: Redis | None = None
    """The Redis that all tasks share; None: each remembers blob descriptors by itself."""
    collected: bool = False
    """`GarbageCollection` works on its storage: no task remembers blob descriptors by itself."""


class Registry(pulumi.ComponentResource):
    """A private registry behind Traefik, with its login and its configuration as secrets."""

    service: SwarmService
    """The Swarm service."""
    storage: StorageAccess
    """Access to its storage, for programs beside it."""

    def __init__(
        self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Registry", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        stack, options, redis = args.stack, args.options, args.redis
        # Signs the state of uploads: one that changed would break the uploads under way.
        http_secret = random.RandomBytes(f"{name}-http-secret", length=32, opts=child).base64
        wiring = Wiring(
            login=args.htpasswd is not None,
            issuer=stack.name if args.jwks is not None else None,
            https=args.route.is_secure,
            redis=redis.address if redis else None,
            collected=args.collected,
        )
        # JSON is YAML, and the registry reads YAML.
        text = pulumi.Output.all(http_secret, redis.password if redis else None).apply(
            lambda parts: json.dumps(
                document(options, Secrets(http=parts[0], redis=parts[1]), wiring), indent=2
            )
        )
        # A secret rather than a Swarm config: it holds the above, and maybe keys of a store.
        files = {CONFIG_PATH: stack.secret(f"{name}-config", text, child)}
        if args.htpasswd:
            files[HTPASSWD_PATH] = args.htpasswd
        if args.jwks:
            files[JWKS_PATH] = stack.secret(f"{name}-jwks", args.jwks, child)
        if options.ca:
            files[CA_FILE] = stack.secret(f"{name}-authorities", options.ca, child)
        networks = [redis.network_id] if redis else []
        self.storage = StorageAccess.of(args, files, networks)
        task = registry_task(
            args,
            options.image,
            files,
            discovery_seconds=args.route.discovery_seconds,
            networks=networks,
            spread=options.spread,
        )
        self.service = registry_service(
            f"{name}-service",
            args,
            "registry",
            task,
            args.route,
            child,
            replicas=options.replicas,
            has_tokens=args.jwks is not None,
        )
        self.register_outputs({})
