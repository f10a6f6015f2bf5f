"""The engine that is deployed to, as the program has it: with Pulumi's provider and errors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
import pulumi
import pulumi_docker

from components.errors import EngineError, EngineNotChosenError
from components.swarm import client, ssh
from components.swarm.endpoint import DEFAULT_HOST, Endpoint, EndpointError, Tls, find_endpoint
from components.swarm.pull_login import PullLogin, registry_of

__all__ = ["DEFAULT_HOST", "Engine", "Tls", "connected", "find_engine"]


@dataclass(frozen=True, kw_only=True)
class Engine(Endpoint):
    """A manager's engine."""

    pull_logins: Mapping[str, PullLogin] = field(default_factory=dict, repr=False)
    """Logins with which private images are pulled, by host of their registry."""

    def inspect_distribution(self, client: docker.APIClient, image: str) -> Mapping[str, Any]:
        """Return what an image's registry has, as the engine finds with the login for it.

        `APIError` when the registry refuses.
        """
        options: dict[str, Any] = {}
        if login := self.pull_logins.get(registry_of(image)):
            options["auth_config"] = {"username": login.username, "password": login.password}
        answer: Mapping[str, Any] = client.inspect_distribution(image, **options)
        return answer

    def provider(self, name: str) -> pulumi_docker.Provider:
        """Return the docker provider for this engine."""
        options: dict[str, Any] = {}
        if self.host.startswith(ssh.SCHEME):
            options["ssh_opts"] = list(ssh.OPTIONS)
        if self.tls:
            options["ca_material"] = self.tls.ca
            options["cert_material"] = self.tls.certificate
            # The provider's schema doesn't call it one.
            options["key_material"] = pulumi.Output.secret(self.tls.key)
        if self.pull_logins:
            # It sends the one for a service's image along with each change of the service, and
            # Swarm hands it to the nodes that pull. Logins of the service itself would have it made
            # anew for each new password.
            logins = [
                pulumi_docker.ProviderRegistryAuthArgs(
                    address=host, username=login.username, password=login.password
                )
                for host, login in self.pull_logins.items()
            ]
            options["registry_auth"] = pulumi.Output.secret(logins)
        # The provider reads these by itself, and prefers them to its arguments.
        for variable, option in _PROVIDER_VARIABLES.items():
            if os.environ.get(variable):
                options.setdefault(option, "")
        return pulumi_docker.Provider(name, host=self.host, **options)


_PROVIDER_VARIABLES = {
    "DOCKER_CONTEXT": "context",
    "DOCKER_CERT_PATH": "cert_path",
    "DOCKER_CA_MATERIAL": "ca_material",
    "DOCKER_CERT_MATERIAL": "cert_material",
    "DOCKER_KEY_MATERIAL": "key_material",
}


def find_engine(
    configured: str | None,
    tls: Tls | None = None,
    pull_logins: Mapping[str, PullLogin] | None = None,
) -> Engine:
    """Return the engine as configured, else as the `docker` command would find it."""
    try:
        endpoint = find_endpoint(configured, tls)
    except EndpointError as error:
        raise EngineNotChosenError(error) from error
    return Engine(**vars(endpoint), pull_logins=pull_logins or {})


@contextlib.contextmanager
def connected(engine: Engine) -> Iterator[docker.APIClient]:
    """Yield a client of the engine; `EngineError` when it can't be reached or used."""
    try:
        with client.connected(engine) as api:
            yield api
    except EndpointError as error:
        raise EngineError(error) from error
