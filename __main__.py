"""What one stack deploys, in order. What it is told stands in `Pulumi.<stack>.yaml`."""

import sys

import pulumi
import pulumi_docker as docker

from components.credentials import Credentials, CredentialsArgs
from components.network import PublicNetwork, PublicNetworkArgs
from components.proxy import Proxy, ProxyArgs
from components.registry import Registry, RegistryArgs
from components.rollout import running
from components.swarm import look
from components.volume import PinnedVolume, PinnedVolumeArgs
from settings import read

TOLD = 32
"""Exit code by which Pulumi knows that the program has shown its error; any other gets it a
second, vaguer one."""


def deploy() -> None:
    """Declares the stack; `RunError` says what stands against it."""
    settings = read()
    swarm = look(settings.engine_host)
    swarm.require_network(settings.network, created_here=settings.create_network)
    on_swarm = pulumi.ResourceOptions(
        providers={"docker": docker.Provider("engine", host=swarm.host)}
    )

    volume = None
    if settings.pins_volume:
        volume = PinnedVolume(
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

    network = PublicNetwork(
        "network",
        PublicNetworkArgs(
            network=settings.network,
            create=settings.create_network,
            encrypted=settings.encrypt_network,
        ),
        on_swarm,
    )

    proxy = None
    if settings.proxy != "none":
        proxy = Proxy(
            "proxy",
            ProxyArgs(
                stack_name=settings.stack_name,
                image=swarm.pinned_image(f"{settings.stack_name}_proxy", settings.proxy_image),
                network=settings.network,
                network_id=network.network_id,
                constraint_label=settings.constraint_label,
                constraint_value=settings.constraint_value,
                entry_point=settings.entry_point,
                http_port=settings.proxy_http_port,
                ui_port=settings.proxy_ui_port,
                log_mib=settings.log_mib,
                log_files=settings.log_files,
            ),
            on_swarm,
        )

    credentials = Credentials(
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

    pinned = [volume.constraint] if volume else []
    registry = Registry(
        "registry",
        RegistryArgs(
            stack_name=settings.stack_name,
            image=swarm.pinned_image(f"{settings.stack_name}_registry", settings.image),
            route=settings.route,
            network_id=network.network_id,
            htpasswd=credentials.secret,
            mount=settings.mount,
            constraints=[*pinned, *settings.constraints],
            memory_mib=settings.memory_mib,
            cpus=settings.cpus,
            log_mib=settings.log_mib,
            log_files=settings.log_files,
            config=settings.config,
        ),
        on_swarm,
    )

    services = [(each.service, each.task) for each in (registry, proxy) if each]
    ready = running(swarm.host, services, settings.deploy_timeout)

    # Told last, and only when it is true.
    pulumi.export("url", ready.apply(lambda _: settings.url))
    pulumi.export("username", settings.users[0])
    pulumi.export("password", credentials.passwords[settings.users[0]])
    pulumi.export("passwords", credentials.passwords)
    pulumi.export("ui", settings.ui_url)
    pulumi.export("service", registry.service.name)
    pulumi.export("node", volume.node if volume else None)


try:
    deploy()
except pulumi.RunError as error:
    pulumi.log.error(str(error))
    sys.exit(TOLD)
