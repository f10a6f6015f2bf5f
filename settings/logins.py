"""The logins of a stack, as components: passwords, and the server that makes tokens of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

import components as parts
from components.run.target import Target
from components.swarm.rollout import RolloutArgs, running
from components.swarm.service import SwarmService
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class Logins:
    """The logins of a stack, for its other parts."""

    registry: parts.Credentials | None
    """None where Traefik asks for the login."""
    dashboard: parts.Credentials | None
    jwks: pulumi.Output[str] | None = None
    """Keys of the tokens that count, once the server that signs them runs; None without tokens."""
    services: Sequence[SwarmService] = ()

    @property
    def htpasswd(self) -> docker.Secret | None:
        """Return the logins that the registry itself checks, if it does."""
        return self.registry.secret if self.registry and self.jwks is None else None


def declare_logins(
    settings: Settings,
    stack: parts.SwarmStack,
    target: Target,
    rollout: RolloutArgs,
    network_id: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> Logins:
    """Declare passwords and, where the registry asks for tokens, the server that signs them."""
    dashboard = None
    if settings.dashboard:
        users, rotation = settings.dashboard.users, settings.login.rotation
        seeds = settings.login.seeds
        options = parts.CredentialsOptions(users=users, rotation=rotation, seeds=seeds)
        args = parts.CredentialsArgs(stack=stack, options=options)
        dashboard = parts.Credentials("dashboard", args, opts)
    if settings.hashed_passwords:
        return Logins(registry=None, dashboard=dashboard)
    args = parts.CredentialsArgs(
        stack=stack,
        options=settings.login,
        form="users" if settings.token_server else "htpasswd",
    )
    login = parts.Credentials("login", args, opts)
    if settings.token_server is None:
        return Logins(registry=login, dashboard=dashboard)
    server = parts.TokenServer(
        "token",
        parts.TokenServerArgs(
            stack=stack,
            options=settings.token_server,
            routes=settings.routes.tokens,
            drain_seconds=settings.registry.drain_seconds,
            network_id=network_id,
            users=login.secret,
        ),
        opts,
    )
    # So a registry asks for tokens only once somebody signs them.
    ready = running(target, [server.service], rollout)
    jwks = pulumi.Output.all(ready, server.jwks).apply(lambda values: str(values[1]))
    return Logins(registry=login, dashboard=dashboard, jwks=jwks, services=[server.service])
