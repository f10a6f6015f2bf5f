"""What one stack deploys, in order. What it is told stands in `Pulumi.<stack>.yaml`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi

from components.credentials import Credentials, CredentialsArgs
from components.distribution.bucket import missing_bucket
from components.distribution.config import DATA_PATH
from components.mirrors import Mirror, Mirrors, MirrorsArgs
from components.network import PublicNetwork, PublicNetworkArgs
from components.proxy import Dashboard, Proxy, ProxyArgs
from components.redis import Redis, RedisArgs
from components.registry import Registry, RegistryArgs
from components.run.commands import for_stack
from components.run.deployed import Deployed, read_deployed, refuse_partial_upgrade
from components.run.operation import operation
from components.run.takeover import swarm_moved_from, takeover
from components.socket_proxy import SocketProxy, SocketProxyArgs
from components.storage import Storage, StorageArgs, destroy_hook
from components.swarm.engine import find_engine
from components.swarm.images import (
    MEMORY,
    REFRESH,
    pin_images,
    refresh_images,
    remember_images,
    remember_refresh,
)
from components.swarm.inspect import Swarm, look
from components.swarm.location import Location, LocationError, Volume, refuse_another_swarm
from components.swarm.ownership import owned
from components.swarm.rollback import guard_rollbacks
from components.swarm.rollout import RolloutArgs, retry_undone, running
from components.swarm.service import SwarmService, service_name
from components.swarm.stack import SECRET_TYPE
from components.traefik.flags import STORAGE_PATH, storage_in_use
from components.version import VERSION
from settings import Settings, read, read_removal
from settings.advice import advice
from settings.certificate import refuse_expired
from settings.mirrors import MirrorSettings
from settings.preflight import check_swarm
from settings.proxy import ProxySettings
from settings.volume import VolumeSettings

ENGINE = "engine"
"""Pulumi's name of the docker provider."""
TOLD = 32
"""Exit code by which Pulumi knows that the program has shown its error; any other gets it a
second, vaguer one."""


STORAGES = IMAGES_STORAGE, MIRRORS_STORAGE, CERTIFICATES_STORAGE = (
    "registry-data",
    "mirrors",
    "certificates",
)
"""What a stack keeps data in: the last part of a volume's name, and of its node's label."""


def deploy() -> None:
    """Declares the stack; `RunError` says what stands against it."""
    settings = read()
    for warning in settings.warnings:
        warn(warning)
    if bucket := missing_bucket(settings.config, settings.storage_ca):
        warn(f"{bucket} doesn't exist, says the store: create it before deploying")
    engine = find_engine(settings.engine_host, settings.engine_tls, settings.pull_logins)
    if engine.warning:
        warn(engine.warning)
    swarm = look(engine)
    stack, deployed = pulumi.get_stack(), last_deployment()
    refuse_wrong_swarm(swarm, deployed, settings.swarm_moved_from)
    refuse_partial_upgrade(deployed, stack)
    if settings.proxy and settings.proxy.certificate and operation() != "refresh":
        refuse_expired(settings.proxy.certificate.chain, deployed)
    swarm.require_network(settings.network, created_here=settings.create_network)
    networks = swarm.further_networks(settings.networks)
    if settings.encrypt_network:
        for warning in swarm.require_encrypted(settings.network, settings.internal_networks):
            warn(warning)
    if operation() != "refresh":
        for warning in check_swarm(settings, swarm):
            warn(warning)
    remembered = deployed.remembers(MEMORY)
    pinned = pin_images(swarm, settings.stack_name, settings.images, remembered)
    refresh, refreshed = settings.image_refresh, deployed.remembers(REFRESH)
    # What is deployed for the first time has the newest images anyway.
    if refresh and refresh != refreshed and remembered is not None:
        newest = refresh_images(swarm, settings.images, pinned)
        pinned, refresh = (newest, refresh) if newest else (pinned, refreshed)
    on_swarm = pulumi.ResourceOptions(
        providers={"docker": swarm.engine.provider(ENGINE)},
        transformations=[owned(swarm, deployed, takeover(), stack), retry_undone(swarm)],
    )

    # Secrets of an earlier version lack the prefix, and keep their names: an alias for each would
    # break the state of a stack that is deployed with --target.
    has_former_names = deployed.has(SECRET_TYPE, "registry-config")
    secret_prefix = "" if has_former_names else settings.stack_name

    def storage(
        name: str,
        told: VolumeSettings,
        location: Location,
        constraints: Sequence[str],
        apart_from: Location | None = None,
    ) -> Storage:
        return Storage(
            name,
            StorageArgs(
                stack_name=settings.stack_name,
                key=name,
                location=location,
                swarm=swarm,
                deployed=deployed,
                role=told.role,
                constraints=constraints,
                apart_from=apart_from,
                node=told.node,
                moved_from=told.moved_from,
                destroy=settings.destroy_data,
                stack=stack,
            ),
            on_swarm,
        )

    proxy = settings.proxy
    images = storage(IMAGES_STORAGE, settings.volume, settings.location, settings.constraints)
    mirrored = certificates = None
    if settings.mirrors:
        place = settings.mirrors_location
        # A cache fills a disk some day: not that of the images, if it can be helped.
        mirrored = storage(
            MIRRORS_STORAGE,
            settings.mirrors_volume,
            place,
            settings.constraints,
            apart_from=images.location,
        )
    if proxy and proxy.acme:
        told, place = proxy.certificates, Volume(name=proxy.certificates.name)
        certificates = storage(CERTIFICATES_STORAGE, told, place, ["node.role == manager"])
    storages = [each for each in (images, mirrored, certificates) if each]

    network = PublicNetwork(
        "network",
        PublicNetworkArgs(
            stack_name=settings.stack_name,
            network=settings.network,
            create=settings.create_network,
            encrypted=settings.encrypt_network,
        ),
        on_swarm,
    )

    proxies: list[Proxy | SocketProxy] = []
    if proxy:
        there = swarm.services.get(service_name(settings.stack_name, "proxy"))
        flags = there.args if there else ()
        proxies = deploy_proxy(
            settings, proxy, pinned, network, certificates, flags, secret_prefix, on_swarm
        )

    login = None
    if not settings.hashed_passwords:
        login = Credentials(
            "login",
            CredentialsArgs(
                stack_name=settings.stack_name,
                secret_prefix=secret_prefix,
                users=settings.users,
                passwords=settings.passwords,
                cost=settings.password_cost,
                rotation=settings.password_rotation,
            ),
            on_swarm,
        )

    redis = None
    if settings.cache == "redis":
        redis = Redis(
            "redis",
            RedisArgs(
                stack_name=settings.stack_name,
                secret_prefix=secret_prefix,
                image=pinned["redis"],
                memory_mib=settings.redis_memory_mib,
                log_mib=settings.log_mib,
                log_files=settings.log_files,
                encrypted=settings.encrypt_network,
            ),
            on_swarm,
        )

    registry = Registry(
        "registry",
        RegistryArgs(
            stack_name=settings.stack_name,
            secret_prefix=secret_prefix,
            image=pinned["registry"],
            route=settings.route,
            network_id=network.network_id,
            networks=networks,
            htpasswd=login.secret if login else None,
            mounts=images.mount(DATA_PATH),
            authorities=settings.storage_ca,
            replicas=settings.replicas,
            spread=settings.spread,
            redis=redis,
            constraints=[*images.constraints, *settings.constraints],
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            log_mib=settings.log_mib,
            log_files=settings.log_files,
            linger_seconds=settings.linger_seconds,
            drain_seconds=settings.drain_seconds,
            config=settings.config,
        ),
        on_swarm,
    )

    mirrors: Sequence[SwarmService] = []
    if mirrored:
        made = deploy_mirrors(
            settings, pinned, network, networks, login, mirrored, secret_prefix, on_swarm
        )
        # Whose node is away isn't waited for: it is a cache.
        mirrors = made.services if mirrored.available else []

    caches = [redis] if redis else []
    services = [part.service for part in (registry, *caches, *proxies)]
    rollout = RolloutArgs(
        timeout=settings.deploy_timeout,
        again=f"pulumi up --stack {stack}",
        advise=advice(settings, stack),
        undo=lambda: [text for each in storages if (text := each.undo_move())],
    )
    ready = running(swarm.engine, [*services, *mirrors], rollout)
    ready = guard_rollbacks(swarm.engine, [*services, *mirrors], ready)
    for each in storages:
        each.remember(ready)
    remember_images(pinned, remembered, ready)
    remember_refresh(refresh, refreshed, ready)

    # Told last, and only when it is true.
    pulumi.export("url", ready.apply(lambda _: settings.url))
    if login:
        pulumi.export("username", settings.users[0])
        pulumi.export("password", login.passwords[settings.users[0]])
        pulumi.export("passwords", login.passwords)
    if settings.https == "external":
        pulumi.export("https", settings.https)
    pulumi.export("ui", settings.ui_url)
    pulumi.export("service", registry.service.resource.name)
    pulumi.export("node", images.node)
    pulumi.export("mirrors", ready.apply(lambda _: told_of_mirrors(settings)))
    pulumi.export("version", ready.apply(lambda _: VERSION))


def deploy_mirrors(
    settings: Settings,
    pinned: Mapping[str, str],
    network: PublicNetwork,
    networks: Sequence[str],
    login: Credentials | None,
    storage: Storage,
    secret_prefix: str,
    on_swarm: pulumi.ResourceOptions,
) -> Mirrors:
    """Declares the pull-through caches."""

    def mirror(told: MirrorSettings) -> Mirror:
        return Mirror(
            name=told.name,
            image=pinned[f"mirror-{told.name}"],
            route=settings.mirror_route(told),
            upstream=told.upstream,
            login=not told.allow,
            authority=told.ca,
        )

    return Mirrors(
        "mirrors",
        MirrorsArgs(
            stack_name=settings.stack_name,
            secret_prefix=secret_prefix,
            mirrors=[mirror(told) for told in settings.mirrors],
            network_id=network.network_id,
            networks=networks,
            htpasswd=login.secret if login else None,
            mounts=storage.mount(DATA_PATH),
            authorities=settings.storage_ca,
            constraints=[*storage.constraints, *settings.constraints],
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            log_mib=settings.log_mib,
            log_files=settings.log_files,
            linger_seconds=settings.linger_seconds,
            drain_seconds=settings.drain_seconds,
            config=settings.config,
        ),
        on_swarm,
    )


def told_of_mirrors(settings: Settings) -> dict[str, dict[str, Any]]:
    """What `make mirrors` makes the nodes' configuration of."""
    return {
        mirror.name: {
            "url": settings.url_of(mirror.domain),
            "upstream": mirror.upstream.url,
            "login": not mirror.allow,
        }
        for mirror in settings.mirrors
    }


def deploy_proxy(
    settings: Settings,
    told: ProxySettings,
    pinned: Mapping[str, str],
    network: PublicNetwork,
    certificates: Storage | None,
    running_flags: Sequence[str],
    secret_prefix: str,
    on_swarm: pulumi.ResourceOptions,
) -> list[Proxy | SocketProxy]:
    """Declares the stack's own Traefik, and what stands before the socket.

    `running_flags` are those of the one that runs by now.
    """
    dashboard = None
    if route := settings.dashboard_route:
        users = Credentials(
            "dashboard",
            CredentialsArgs(
                stack_name=settings.stack_name,
                secret_prefix=secret_prefix,
                users=told.dashboard_users,
                rotation=settings.password_rotation,
            ),
            on_swarm,
        )
        dashboard = Dashboard(route=route, users=users.secret)
        pulumi.export("uiPasswords", users.passwords)

    socket_proxy = None
    if told.socket_proxy:
        socket_proxy = SocketProxy(
            "socket-proxy",
            SocketProxyArgs(
                stack_name=settings.stack_name,
                secret_prefix=secret_prefix,
                image=pinned["socket_proxy"],
                socket_path=told.socket_path,
                log_mib=settings.log_mib,
                log_files=settings.log_files,
                encrypted=settings.encrypt_network,
            ),
            on_swarm,
        )

    acme = told.acme
    if acme:
        acme = replace(acme, storage=storage_in_use(acme, running_flags))

    proxy = Proxy(
        "proxy",
        ProxyArgs(
            stack_name=settings.stack_name,
            secret_prefix=secret_prefix,
            image=pinned["proxy"],
            network=settings.network,
            network_id=network.network_id,
            constraint_label=settings.constraint_label,
            constraint_value=settings.constraint_value,
            entry_point=settings.entry_point,
            http_port=told.http_port,
            trusted_proxies=told.trusted_proxies,
            registries_only=settings.proxy_mode == "stack",
            https=settings.route.https,
            https_port=told.https_port,
            acme=acme,
            mounts=certificates.mount(STORAGE_PATH) if certificates else [],
            certificate=told.certificate,
            dashboard=dashboard,
            socket_proxy=socket_proxy,
            socket_path=told.socket_path,
            ui_port=told.ui_port,
            metrics=told.metrics,
            mode=told.mode,
            constraints=certificates.constraints if certificates else [],
            config=told.config,
            secrets=told.secrets,
            environment=told.environment,
            memory_mib=told.memory_mib,
            log_mib=settings.log_mib,
            log_files=settings.log_files,
        ),
        on_swarm,
    )
    return [proxy, socket_proxy] if socket_proxy else [proxy]


def warn(text: str) -> None:
    """Show a warning, with the stack in the commands that it has."""
    pulumi.log.warn(for_stack(text, pulumi.get_stack()))


def remove() -> None:
    """Declare the engine, and nothing else: for `pulumi destroy --run-program`.

    What is to go is in the state. So neither a wrong setting nor a node that is down stands
    against it; an error only when the configured engine can't be asked, or is the wrong one.
    """
    settings, deployed = read_removal(), last_deployment()
    swarm = look(find_engine(settings.engine_host, settings.engine_tls))
    refuse_wrong_swarm(swarm, deployed, settings.swarm_moved_from)
    swarm.engine.provider(ENGINE)
    for name in STORAGES:
        destroy_hook(name, deployed, swarm)


def refuse_wrong_swarm(swarm: Swarm, deployed: Deployed, consent: str | None) -> None:
    """`LocationError` when the stack was deployed to another swarm than the one at hand.

    Before a provider is made of its engine: the state would keep that, right or wrong. And on the
    wrong swarm nothing is found to destroy, so all would be forgotten while it runs on.
    """
    refuse_another_swarm(
        deployed.remembers(f"{IMAGES_STORAGE}-place"),
        swarm.cluster_id,
        swarm.engine.host,
        consent or swarm_moved_from(),
        pulumi.get_stack(),
    )


def last_deployment() -> Deployed:
    """Return what the state has of this stack."""
    return read_deployed(pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack())


try:
    remove() if operation() == "destroy" else deploy()
except (pulumi.RunError, LocationError) as error:
    pulumi.log.error(for_stack(str(error), pulumi.get_stack()))
    sys.exit(TOLD)
