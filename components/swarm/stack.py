"""What makes Swarm resources one stack, for `docker stack ps` and its like."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from components.errors import SecretTooLargeError
from components.swarm import NAMESPACE

LOGINS_LABEL = ".basicauth.users"
"""End of the label that tells Traefik the logins, with their hashes."""
MAX_SECRET_BYTES = 500 * 1024 - 1
"""Swarm takes no larger secret."""
SECRET_TYPE = "docker:index/secret:Secret"  # noqa: S105 - of a resource
"""Pulumi's type of a secret."""
MAX_SECRET_NAME = 64 - len("-1234567")
"""Characters of a secret's name in Pulumi, which adds a dash and seven digits for Swarm."""


@dataclass(frozen=True, kw_only=True)
class Logs:
    """Rotation of a task's log, which Docker doesn't limit by itself."""

    mib: int = 10
    """Size of one file, MiB."""
    files: int = 3
    """Number of files that are kept."""


@dataclass(frozen=True, kw_only=True)
class SwarmStack:
    """Common properties of all parts of a Swarm stack."""

    name: str
    """Prefix of services, volumes, networks and node labels."""
    logs: Logs = Logs()
    encrypted: bool = False
    """Networks that only services of the stack join encrypt between nodes (IPsec)."""
    secret_prefix: str = ""
    """Beginning of the names of its Swarm secrets in Pulumi; nothing by default."""

    def secret(
        self, name: str, text: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> docker.Secret:
        """Declare `text` as a Swarm secret; it is a secret in Pulumi's state, too."""
        # No `name=`: a Swarm secret can't be changed, so a new text needs a fresh name. Pulumi
        # makes it of the resource's.
        return docker.Secret(
            secret_name(self.secret_prefix, name),
            data=pulumi.Output.secret(text).apply(lambda plain: secret_data(name, plain)),
            labels=[docker.SecretLabelArgs(label=NAMESPACE, value=self.name)],
            opts=opts,
        )


def namespace_labels(stack_name: str) -> dict[str, str]:
    """Return the label that makes something part of the Swarm stack `stack_name`."""
    return {NAMESPACE: stack_name}


def service_labels(labels: dict[str, str]) -> list[docker.ServiceLabelArgs]:
    """Return the labels of a service, in the one order that makes no difference in a preview.

    Those with hashes are secrets in Pulumi's state and outputs.
    """
    return [
        docker.ServiceLabelArgs(
            label=key,
            value=pulumi.Output.secret(labels[key]) if key.endswith(LOGINS_LABEL) else labels[key],
        )
        for key in sorted(labels)
    ]


def secret_name(prefix: str, name: str) -> str:
    """Return a secret's name in Pulumi: as much of `prefix` as Swarm has room for, and `name`.

    Secrets whose prefixes are cut to the same still have names of their own, since digits follow.
    """
    prefix = prefix[: max(0, MAX_SECRET_NAME - len(name) - 1)].rstrip("-")
    return f"{prefix}-{name}" if prefix else name


def secret_data(name: str, text: str) -> str:
    """Return `text` as Docker takes it, in base64; `SecretTooLargeError` when Swarm refuses it."""
    data = text.encode()
    if len(data) > MAX_SECRET_BYTES:
        raise SecretTooLargeError(secret=name, size=len(data), limit=MAX_SECRET_BYTES)
    return base64.b64encode(data).decode()
