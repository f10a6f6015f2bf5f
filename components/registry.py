"""The registry service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.distribution.config import CONFIG_PATH, HTPASSWD_PATH, Options, Secrets, document
from components.distribution.service import (
    AUTHORITY_FILE,
    TaskArgs,
    registry_service,
    registry_task,
)
from components.redis import Redis
from components.swarm.service import SwarmService
from components.swarm.stack import swarm_secret
from components.traefik.route import Route


@dataclass(frozen=True, kw_only=True)
class RegistryArgs(TaskArgs):
    """What a registry is told."""

    image: pulumi.Input[str]
    route: Route
    htpasswd: docker.Secret | None
    """bcrypt login lines; None where Traefik asks for the login."""
    authorities: str | None = None
    """PEM: authority of the object store's certificate, besides those that the image trusts."""
    replicas: int = 1
    """Tasks; more than one need an object store, or a volume that every node sees."""
    spread: str | None = None
    """Node label over whose values the tasks are spread; None: over nodes."""
    redis: Redis | None = None
    """What all tasks share; None: each remembers blob descriptors by itself."""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Keys of the registry's configuration, merged over the component's."""


class Registry(pulumi.ComponentResource):
    """A private registry behind Traefik, with its login and its configuration as secrets."""

    service: SwarmService
    """The Swarm service."""

    def __init__(
        self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Registry", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def secret(part: str, text: pulumi.Input[str]) -> docker.Secret:
            return swarm_secret(
                f"{name}-{part}", args.stack_name, text, child, prefix=args.secret_prefix
            )

        # Signs the state of uploads: one that changed would break the uploads under way.
        http_secret = random.RandomBytes(f"{name}-http-secret", length=32, opts=child).base64
        redis = args.redis
        options = Options(
            login=args.htpasswd is not None,
            https=args.route.is_secure,
            redis=redis.address if redis else None,
            drain_seconds=args.drain_seconds,
        )
        # JSON is YAML, and the registry reads YAML.
        text = pulumi.Output.all(http_secret, redis.password if redis else None).apply(
            lambda both: json.dumps(
                document(args.config, Secrets(http=both[0], redis=both[1]), options), indent=2
            )
        )
        # A secret rather than a Swarm config: it holds the above, and maybe keys of a store.
        files = {CONFIG_PATH: secret("config", text)}
        if args.htpasswd:
            files[HTPASSWD_PATH] = args.htpasswd
        if args.authorities:
            files[AUTHORITY_FILE] = secret("authorities", args.authorities)
        networks = [redis.network_id] if redis else []
        task = registry_task(args, args.image, files, networks=networks, spread=args.spread)
        self.service = registry_service(
            f"{name}-service",
            args,
            "registry",
            task,
            args.route,
            child,
            replicas=args.replicas,
        )
        self.register_outputs({})
