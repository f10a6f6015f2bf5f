"""What one stack deploys, in order. What it is told stands in `Pulumi.<stack>.yaml`."""

import sys

import pulumi

from components.credentials import Credentials, CredentialsArgs
from components.engine import find_engine
from components.network import PublicNetwork, PublicNetworkArgs
from components.placement import CERTIFICATES
from components.proxy import Dashboard, Proxy, ProxyArgs
from components.redis import Redis, RedisArgs
from components.registry import Registry, RegistryArgs
from components.rollout import running
from components.socket_proxy import SocketProxy, SocketProxyArgs
from components.swarm import Swarm, look
from components.volume import PinnedVolume, PinnedVolumeArgs
from settings import Settings, read
from settings.proxy import ProxySettings

TOLD = 32
"""Exit code by which Pulumi knows that the program has shown its error; any other gets it a
second, vaguer one."""


def deploy() -> None:
    """Declares the stack; `RunError` says what stands against it."""
    settings = read()
    for warning in settings.warnings:
        pulumi.log.warn(warning)
    swarm = look(find_engine(settings.engine_host, settings.engine_tls))
    swarm.require_network(settings.network, created_here=settings.create_network)
    on_swarm = pulumi.ResourceOptions(providers={"docker": swarm.engine.provider("engine")})

    volume = images_volume(settings, swarm, on_swarm) if settings.pins_volume else None
    storage = None
    if settings.proxy and settings.proxy.acme:
        storage = certificates_volume(settings, settings.proxy, swarm, on_swarm)
    # A move that is refused is refused before anything else is touched.
    places = pulumi.ResourceOptions(depends_on=[each for each in (volume, storage) if each])
    on_swarm = pulumi.ResourceOptions.merge(on_swarm, places)

    network = PublicNetwork(
        "network",
        PublicNetworkArgs(
            network=settings.network,
            create=settings.create_network,
            encrypted=settings.encrypt_network,
        ),
        on_swarm,
    )

    proxies: list[Proxy | SocketProxy] = []
    if settings.proxy:
        proxies = deploy_proxy(settings, settings.proxy, swarm, network, storage, on_swarm)

    login = None
    if not settings.hashed_passwords:
        login = Credentials(
            "login",
            CredentialsArgs(
                stack_name=settings.stack_name,
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
                image=swarm.pinned_image(f"{settings.stack_name}_redis", settings.redis_image),
                memory_mib=settings.redis_memory_mib,
                log_mib=settings.log_mib,
                log_files=settings.log_files,
            ),
            on_swarm,
        )

    pinned = [volume.constraint] if volume else []
    registry = Registry(
        "registry",
        RegistryArgs(
            stack_name=settings.stack_name,
            image=swarm.pinned_image(f"{settings.stack_name}_registry", settings.image),
            route=settings.route,
            network_id=network.network_id,
            htpasswd=login.secret if login else None,
            mount=settings.mount,
            storage_ca=settings.storage_ca,
            replicas=settings.replicas,
            spread=settings.spread,
            redis=redis,
            constraints=[*pinned, *settings.constraints],
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            log_mib=settings.log_mib,
            log_files=settings.log_files,
            config=settings.config,
            adopt=settings.adopt_service,
        ),
        on_swarm,
    )

    caches = [redis] if redis else []
    services = [(each.service, each.task) for each in (registry, *caches, *proxies)]
    ready = running(swarm.engine, services, settings.deploy_timeout)

    # Told last, and only when it is true.
    pulumi.export("url", ready.apply(lambda _: settings.url))
    if login:
        pulumi.export("username", settings.users[0])
        pulumi.export("password", login.passwords[settings.users[0]])
        pulumi.export("passwords", login.passwords)
    pulumi.export("ui", settings.ui_url)
    pulumi.export("service", registry.service.name)
    pulumi.export("node", volume.node if volume else None)


def images_volume(
    settings: Settings, swarm: Swarm, on_swarm: pulumi.ResourceOptions
) -> PinnedVolume:
    """Declares where the images are."""
    return PinnedVolume(
        "registry-data",
        PinnedVolumeArgs(
            stack_name=settings.stack_name,
            key="registry-data",
            volume=settings.volume_name,
            swarm=swarm,
            node=settings.volume_node,
            moved_from=settings.volume_moved_from,
            destroy_data=settings.destroy_data,
        ),
        on_swarm,
    )


def certificates_volume(
    settings: Settings, told: ProxySettings, swarm: Swarm, on_swarm: pulumi.ResourceOptions
) -> PinnedVolume:
    """Declares where Traefik keeps the certificates that it obtains."""
    return PinnedVolume(
        "certificates",
        PinnedVolumeArgs(
            stack_name=settings.stack_name,
            key="certificates",
            volume=told.certificates_name,
            swarm=swarm,
            contents=CERTIFICATES,
            managers_only=True,
            node=told.certificates_node,
            moved_from=told.certificates_moved_from,
            destroy_data=settings.destroy_data,
        ),
        on_swarm,
    )


def deploy_proxy(
    settings: Settings,
    told: ProxySettings,
    swarm: Swarm,
    network: PublicNetwork,
    storage: PinnedVolume | None,
    on_swarm: pulumi.ResourceOptions,
) -> list[Proxy | SocketProxy]:
    """Declares the stack's own Traefik, and what stands before the socket."""
    dashboard = None
    if route := settings.dashboard_route:
        users = Credentials(
            "dashboard",
            CredentialsArgs(
                stack_name=settings.stack_name,
                users=told.dashboard_users,
                rotation=settings.password_rotation,
            ),
            on_swarm,
        )
        dashboard = Dashboard(route=route, users=users.secret)
        pulumi.export("uiPasswords", users.passwords)

    socket_proxy = None
    if told.socket_proxy:
        name = f"{settings.stack_name}_socket_proxy"
        socket_proxy = SocketProxy(
            "socket-proxy",
            SocketProxyArgs(
                stack_name=settings.stack_name,
                image=swarm.pinned_image(name, told.socket_proxy_image),
                log_mib=settings.log_mib,
                log_files=settings.log_files,
            ),
            on_swarm,
        )

    proxy = Proxy(
        "proxy",
        ProxyArgs(
            stack_name=settings.stack_name,
            image=swarm.pinned_image(f"{settings.stack_name}_proxy", told.image),
            network=settings.network,
            network_id=network.network_id,
            constraint_label=settings.constraint_label,
            constraint_value=settings.constraint_value,
            entry_point=settings.entry_point,
            http_port=told.http_port,
            https=settings.route.https,
            https_port=told.https_port,
            acme=told.acme,
            storage=told.certificates_name if storage else None,
            certificate=told.certificate,
            dashboard=dashboard,
            socket_proxy=socket_proxy,
            ui_port=told.ui_port,
            metrics=told.metrics,
            mode=told.mode,
            constraints=[storage.constraint] if storage else [],
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


try:
    deploy()
except pulumi.RunError as error:
    pulumi.log.error(str(error))
    sys.exit(TOLD)
