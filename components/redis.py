"""Redis: what the registry's replicas remember together."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from components.files import configuration, script
from components.swarm.overlay import overlay
from components.swarm.service import SwarmService, service_name, swarm_service
from components.swarm.stack import SwarmStack
from components.swarm.task import (
    always_restart,
    command_probe,
    json_file_log,
    limits,
    secret_file,
)

REDIS_IMAGE = "redis:7.4-alpine"
"""Docker Hub's official image."""
PORT = 6379
CONFIG_PATH = "/run/secrets/redis.conf"
USER_ID = 999
"""User of Redis in the official images. Its file is this one's, so any image does that has Redis:
it writes nothing, and needs no entry in a list of users."""
PASSWORD_LENGTH = 32
PROBE = script("redis-healthcheck.sh")


@dataclass(frozen=True, kw_only=True)
class RedisOptions:
    """Options of a Redis."""

    image: str = REDIS_IMAGE
    memory_mib: int = 128
    """Hard limit of its task, MiB; half of it is for what is remembered."""


@dataclass(frozen=True, kw_only=True)
class RedisArgs:
    """Arguments of `Redis`."""

    stack: SwarmStack
    options: RedisOptions = RedisOptions()


class Redis(pulumi.ComponentResource):
    """A cache with a password, on an internal network; nothing is lost when it goes."""

    address: str
    """host:port for services on its network."""
    password: pulumi.Output[str]
    network_id: pulumi.Output[str]
    """The network that it is on; internal, so nothing on it reaches the world."""
    service: SwarmService
    """The Swarm service."""

    def __init__(
        self, name: str, args: RedisArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:Redis", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        service = service_name(args.stack.name, "redis")
        self.address = f"{service}:{PORT}"
        self.network_id = overlay(
            f"{name}-network",
            service,
            args.stack,
            self,
            internal=True,
            encrypted=args.stack.encrypted,
        ).id
        self.password = random.RandomPassword(
            f"{name}-password", length=PASSWORD_LENGTH, special=False, opts=child
        ).result
        memory_mib = args.options.memory_mib // 2
        text = self.password.apply(
            lambda password: configuration("redis.conf", password=password, memory_mib=memory_mib)
        )
        config = args.stack.secret(f"{name}-config", text, child)
        task = docker.ServiceTaskSpecArgs(
            container_spec=docker.ServiceTaskSpecContainerSpecArgs(
                image=args.options.image,
                # Not through the image's entry point, which changes the owner of files first: here
                # all is read-only.
                commands=["redis-server", CONFIG_PATH],
                user=f"{USER_ID}:{USER_ID}",
                secrets=[secret_file(CONFIG_PATH, config, USER_ID)],
                healthcheck=command_probe(PROBE),
                read_only=True,
                stop_grace_period="10s",
            ),
            networks_advanceds=[docker.ServiceTaskSpecNetworksAdvancedArgs(id=self.network_id)],
            resources=limits(args.options.memory_mib, None),
            restart_policy=always_restart(),
            log_driver=json_file_log(args.stack.logs),
        )
        self.service = swarm_service(
            f"{name}-service",
            stack=args.stack,
            service="redis",
            task=task,
            # Two at once would each know a part; the registry does without for that moment.
            order="stop-first",
            opts=child,
        )
        self.register_outputs({"networkId": self.network_id})
