"""All settings of one stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from components.backup import BackupOptions
from components.credentials import CredentialsOptions
from components.distribution.config import value_at
from components.distribution.storage import keeps_files
from components.garbage_collection import GarbageCollectionOptions
from components.mirrors import MirrorOptions
from components.network import NetworkOptions
from components.proxy import ProxyOptions
from components.redis import RedisOptions
from components.registry import RegistryOptions
from components.run.operation import option
from components.socket_proxy import SocketProxyOptions
from components.swarm.location import Location
from components.swarm.service import service_name
from components.swarm.stack import Logs, SwarmStack
from components.token_server import TokenServerOptions
from settings import early, rules
from settings.access import parse_auth
from settings.backup import check_location, parse_backup
from settings.engine import EngineSettings, parse_endpoint, parse_engine
from settings.gc import parse_gc
from settings.kinds import BOOLEAN, Mebibytes, Number
from settings.limits import check_limits
from settings.mirrors import parse_mirrors
from settings.network import parse_further_networks, parse_network
from settings.proxy import DashboardSettings, parse_proxy
from settings.reader import Reader
from settings.redis import parse_redis
from settings.registry import parse_registry
from settings.routes import Routes
from settings.routing import RoutingSettings, check_domains, parse_routing
from settings.stack_file import config_of
from settings.volume import VolumesSettings, parse_volumes

LOGS = Logs()
IMAGE_KEYS = {
    "registry": "image",
    "redis": "redisImage",
    "proxy": "proxyImage",
    "socket_proxy": "socketProxyImage",
    "token": "toolsImage",
    "gc": "toolsImage",
    "backup": "toolsImage",
}
"""Keys by service; mirrors run the registry's image."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one stack, in the components' own options."""

    stack: SwarmStack
    """`registry:stackName` (required), `logSize` and `logFiles`."""
    routing: RoutingSettings
    network: NetworkOptions
    networks: tuple[str, ...]
    """Further overlay networks that registry and mirrors join, such as an object store's."""
    registry: RegistryOptions
    redis: RedisOptions | None
    """None: each task of the registry remembers blob descriptors by itself."""
    gc: GarbageCollectionOptions | None
    """None: what was deleted keeps its space."""
    backup: BackupOptions | None
    """None: there is one copy of the images."""
    mirrors: tuple[MirrorOptions, ...]
    """Pull-through caches of other registries. Default: none."""
    volumes: VolumesSettings
    proxy: ProxyOptions | None
    """The stack's own Traefik; None where it joins another's."""
    socket_proxy: SocketProxyOptions | None
    dashboard: DashboardSettings | None
    login: CredentialsOptions
    token_server: TokenServerOptions | None
    """None (`registry:auth: basic`): whoever has a login may do everything."""
    tools_image: str | None
    """None: the one that `make build` makes, on the engine that it is asked of."""
    hashed_passwords: Mapping[str, str] = field(repr=False)
    """Hashes by user, for Traefik to ask for the login; a token server has its own."""
    engine: EngineSettings
    image_refresh: str | None
    """Any text; a new one asks the registries for the images that the tags name by now."""
    destroy_data: bool
    """`pulumi destroy`, and nothing else, deletes the volume. Default false."""
    swarm_moved_from: str | None
    """Consent to another swarm: the id of the one that the stack was deployed to until now."""
    deploy_timeout: int
    """Seconds until a service that doesn't come up is reported as failed. Default 300."""
    policy: str
    """A violation of the policy pack is a warning (`advisory`) or an error (`mandatory`). Default
    `advisory`."""
    warnings: tuple[str, ...] = ()
    """Problems that don't stop a deployment yet."""

    @property
    def routes(self) -> Routes:
        """Return routes for Traefik, and addresses for people."""
        return Routes(self)

    @property
    def keeps_files(self) -> bool:
        """Return whether the images are files on a volume, not in an object store."""
        return keeps_files(self.registry.config)

    @property
    def has_node_volume(self) -> bool:
        """Return whether the images are in a volume of one node."""
        return self.volumes.is_pinned(self.registry.config)

    @property
    def location(self) -> Location:
        """Return where the images shall be."""
        return self.volumes.location(self.volumes.images, self.registry.config)

    @property
    def mirrors_location(self) -> Location:
        """Return where mirrors keep what was pulled."""
        return self.volumes.location(self.volumes.mirrors, self.registry.config)

    @property
    def images(self) -> Mapping[str, str]:
        """Return the image of each service that is deployed."""
        images = {"registry": self.registry.image}
        images |= {f"mirror-{mirror.name}": mirror.image for mirror in self.mirrors}
        parts: dict[str, Any] = {"redis": self.redis, "proxy": self.proxy}
        parts |= {"socket_proxy": self.socket_proxy, "token": self.token_server}
        parts["gc"] = self.gc if self.gc and self.gc.schedule else None
        parts["backup"] = self.backup if self.backup and self.backup.schedule else None
        return images | {name: part.image for name, part in parts.items() if part}

    @property
    def pulled_images(self) -> Mapping[str, str]:
        """Return those of `images` that nodes pull; the others are built where they run."""
        built = set() if self.tools_image else {"token", "gc", "backup"}
        return {name: image for name, image in self.images.items() if name not in built}

    def with_images(self, images: Mapping[str, str]) -> Settings:
        """Return the same settings with other images, by service."""

        def changed(name: str, part: Any) -> Any:
            return part and replace(part, image=images.get(name, part.image))

        return replace(
            self,
            registry=changed("registry", self.registry),
            mirrors=tuple(changed(f"mirror-{each.name}", each) for each in self.mirrors),
            redis=changed("redis", self.redis),
            proxy=changed("proxy", self.proxy),
            socket_proxy=changed("socket_proxy", self.socket_proxy),
            token_server=changed("token", self.token_server),
            gc=changed("gc", self.gc),
            backup=changed("backup", self.backup),
        )

    @property
    def internal_networks(self) -> Mapping[str, str]:
        """Return the networks that only services of the stack join, and whom each leads to."""
        services = {"redis": self.redis, "socket_proxy": self.socket_proxy}
        return {service_name(self.stack.name, name): name for name in services if services[name]}


def parse(
    values: Mapping[str, str],
    is_secret: Callable[[str], bool],
    stack: str,
    file: Mapping[str, Any] | None = None,
) -> Settings:
    """Return settings from `values`, raw texts by full key; `RunError` lists all that is wrong.

    `is_secret` tells whether a full key holds a secret, and `file`, of `stack_file.config_of`, at
    which paths; `stack` is named in the error.
    """
    reader = Reader(values, is_secret, stack, file)
    settings = settings_of(reader)
    if wrong := reader.report():
        raise pulumi.RunError(wrong)
    return settings


def settings_of(reader: Reader) -> Settings:
    """Return the settings; those that are wrong, as `reader` notes, are as good as made up."""
    stack_name = reader.required("stackName", rules.STACK)
    routing = parse_routing(reader, stack_name)
    registry = parse_registry(reader)
    mirrors = parse_mirrors(reader, registry.image)
    domains = [routing.domain, *(mirror.domain for mirror in mirrors)]
    check_domains(reader, routing.https, domains)
    proxy = parse_proxy(reader, routing, domains)
    network = parse_network(reader, routing.joins)
    auth = parse_auth(reader, mirrors, routing.trusted_proxies)
    settings = Settings(
        stack=SwarmStack(
            name=stack_name,
            logs=Logs(
                mib=reader.get("logSize", Mebibytes(1), LOGS.mib),
                files=reader.get("logFiles", Number(1, 100), LOGS.files),
            ),
            encrypted=network.encrypted,
        ),
        routing=routing,
        network=network,
        networks=parse_further_networks(reader, network.name),
        registry=registry,
        redis=parse_redis(reader),
        gc=parse_gc(reader, registry.config, auth.tools_image),
        backup=parse_backup(reader, registry.config, auth.tools_image, routing.domain),
        mirrors=mirrors,
        volumes=parse_volumes(reader, stack_name),
        proxy=None if routing.joins else proxy.options,
        socket_proxy=None if routing.joins else proxy.socket_proxy,
        dashboard=None if routing.joins else proxy.dashboard,
        login=auth.login,
        token_server=auth.token_server,
        tools_image=auth.tools_image,
        hashed_passwords=auth.hashed_passwords,
        engine=parse_engine(reader),
        image_refresh=reader.get("imageRefresh", rules.LINE),
        destroy_data=reader.get("destroyData", BOOLEAN, False),
        swarm_moved_from=reader.get("swarmMovedFrom", rules.ID),
        deploy_timeout=reader.get("deployTimeout", Number(10, 3600), 300),
        policy=early.policy(reader),
        warnings=tuple(reader.warnings),
    )
    _check_storage(reader, settings)
    check_location(reader, settings)
    _check_cache(reader, settings)
    check_limits(reader, settings)
    # As a secret it would look to ops/config.py as if it weren't set.
    reader.open("policy", "it says which rules hold for the stack")
    reader.unshare("destroyData", "consent to lose one stack's images")
    reader.unshare("swarmMovedFrom", "consent to leave one stack's swarm")
    reader.unknown()
    return settings


def _check_storage(reader: Reader, settings: Settings) -> None:
    """Refuse replicas that keep their images apart: each would know a part of them."""
    replicas = settings.registry.replicas
    if replicas > 1 and settings.has_node_volume:
        reader.problem(
            "replicas",
            f"is {replicas}, and the images are in a volume of one node: replicas need"
            " storage that every node sees, an object store (registry:config.storage.s3, gcs or"
            " azure) or a volume of NFS (registry:volumeOptions).",
            "1",
        )
    copies = settings.backup and settings.backup.location.storage
    if settings.registry.ca and settings.keeps_files and not copies:
        reader.remove("storageCa", "needs an object store (registry:config.storage.s3).")


def _check_cache(reader: Reader, settings: Settings) -> None:
    """Check that a Redis that is asked for is there, and only once."""
    config = settings.registry.config
    asks_redis = value_at(config, "storage.cache.blobdescriptor") == "redis"
    if asks_redis and not settings.redis and not value_at(config, "redis.addrs"):
        reader.remove(
            "config.storage.cache.blobdescriptor",
            "is redis, and no Redis is named: registry:cache redis brings one.",
        )
    if settings.redis and "redis" in config:
        reason = "can't go with registry:cache redis, which brings a Redis of its own."
        reader.remove("config.redis", reason)


def read() -> Settings:
    """Return the settings of the stack that is being deployed; `RunError` lists what is wrong."""
    stack, chosen = pulumi.get_stack(), option("--config-file")
    # The working folder of a program is its project's.
    file = config_of(stack, Path.cwd(), Path(chosen) if chosen else None)
    return parse(CONFIG.get(), is_config_secret, stack, file)


@dataclass(frozen=True, kw_only=True)
class RemovalSettings:
    """All that a `pulumi destroy` asks of the settings."""

    engine: EngineSettings
    swarm_moved_from: str | None


def read_removal() -> RemovalSettings:
    """Return what a destroy needs; `RunError` when that is wrong, whatever the rest says."""
    reader = Reader(CONFIG.get(), is_config_secret, pulumi.get_stack())
    engine = parse_endpoint(reader)
    moved_from = reader.get("swarmMovedFrom", rules.ID)
    if wrong := reader.report():
        raise pulumi.RunError(wrong)
    return RemovalSettings(engine=engine, swarm_moved_from=moved_from)
