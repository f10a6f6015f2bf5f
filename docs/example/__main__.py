"""A registry for build caches, behind the Traefik that the swarm has: somebody else's program."""

import pulumi

from components import (
    Credentials,
    CredentialsArgs,
    CredentialsOptions,
    Https,
    MountedData,
    PublicNetwork,
    PublicNetworkArgs,
    Registry,
    RegistryArgs,
    RegistryOptions,
    Route,
    SwarmStack,
)
from components.distribution.config import DATA_PATH

config = pulumi.Config()
domain = config.require("domain")
stack = SwarmStack(name="build-cache")
route = Route(
    domain=domain,
    tag="build-cache",
    network="traefik-public",
    constraint_label="traefik.constraint-label",
    constraint_value="traefik-public",
    https=Https(),
)
network = PublicNetwork("network", PublicNetworkArgs(stack=stack))
login = Credentials(
    "login", CredentialsArgs(stack=stack, options=CredentialsOptions(users=["builder", "ci"]))
)
Registry(
    "registry",
    RegistryArgs(
        stack=stack,
        options=RegistryOptions(memory_mib=256),
        route=route,
        networks=[network.network_id],
        htpasswd=login.secret,
        data=MountedData.on_node(config.require("node"), stack.name, "build-cache-data", DATA_PATH),
    ),
)
pulumi.export("url", f"https://{domain}")
pulumi.export("passwords", login.passwords)
