"""The one component of the package: what other languages get of this project's components."""

# Without `from __future__ import annotations`: Pulumi makes the schema of the types themselves.
from typing import Any, Optional, TypedDict

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
from components.network import NetworkOptions

# Optional rather than `| None`: Pulumi's analyzer reads these.


class PrivateRegistryArgs(TypedDict):
    """Arguments of `PrivateRegistry`; none of them can be an output."""

    domain: str
    """Public host name of the registry, no scheme."""
    node: str
    """Host name of the node that keeps the images, as in `docker node ls`."""
    stack_name: Optional[str]  # noqa: UP045
    """Prefix of services, volumes and secrets. Default `registry`."""
    network: Optional[str]  # noqa: UP045
    """Overlay network that Traefik is on. Default `traefik-public`."""
    users: Optional[list[str]]  # noqa: UP045
    """Who may log in, with generated passwords. Default `admin`."""
    https: Optional[bool]  # noqa: UP045
    """Traefik serves HTTPS, with a certificate of its resolver `le`. Default true."""
    memory_mib: Optional[int]  # noqa: UP045
    """Hard memory limit of the task, MiB. Default 512."""


class PrivateRegistry(pulumi.ComponentResource):
    """A private registry with logins, behind a Traefik that runs already."""

    url: pulumi.Output[str]
    """Address for `docker login`, with scheme."""
    passwords: pulumi.Output[dict[str, str]]
    """Generated passwords by user, secret."""

    def __init__(
        self,
        name: str,
        args: PrivateRegistryArgs,
        opts: Optional[pulumi.ResourceOptions] = None,  # noqa: UP045
    ) -> None:
        super().__init__("swarm-registry:index:PrivateRegistry", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        given: dict[str, Any] = {key: value for key, value in args.items() if value is not None}
        stack = SwarmStack(name=given.get("stack_name", "registry"))
        network = given.get("network", "traefik-public")
        secure = given.get("https", True)
        public = PublicNetwork(
            f"{name}-network",
            PublicNetworkArgs(stack=stack, options=NetworkOptions(name=network)),
            child,
        )
        options = CredentialsOptions(users=given.get("users", ["admin"]))
        login = Credentials(f"{name}-login", CredentialsArgs(stack=stack, options=options), child)
        Registry(
            f"{name}-registry",
            RegistryArgs(
                stack=stack,
                options=RegistryOptions(memory_mib=given.get("memory_mib", 512)),
                route=Route(
                    domain=args["domain"],
                    tag=stack.name,
                    network=network,
                    constraint_label="traefik.constraint-label",
                    constraint_value=network,
                    https=Https() if secure else None,
                ),
                networks=[public.network_id],
                htpasswd=login.secret,
                data=MountedData.on_node(
                    args["node"], stack.name, f"{stack.name}_registry-data", DATA_PATH
                ),
            ),
            child,
        )
        self.url = pulumi.Output.from_input(f"{'https' if secure else 'http'}://{args['domain']}")
        self.passwords = login.passwords.apply(dict)
        self.register_outputs({"url": self.url, "passwords": self.passwords})
