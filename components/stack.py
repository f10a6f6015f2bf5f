"""What makes Swarm resources one stack, for `docker stack ps` and its like."""

from __future__ import annotations

import base64

import pulumi_docker as docker

NAMESPACE = "com.docker.stack.namespace"
"""Label by which `docker stack` finds what belongs together."""


def namespace_labels(stack_name: str) -> dict[str, str]:
    """The label that makes something part of the Swarm stack `stack_name`."""
    return {NAMESPACE: stack_name}


def secret_labels(stack_name: str) -> list[docker.SecretLabelArgs]:
    """`namespace_labels` for a Swarm secret."""
    return [docker.SecretLabelArgs(label=NAMESPACE, value=stack_name)]


def service_labels(labels: dict[str, str]) -> list[docker.ServiceLabelArgs]:
    """Labels of a service, in the one order that makes no difference in a preview."""
    return [docker.ServiceLabelArgs(label=key, value=labels[key]) for key in sorted(labels)]


def encoded(text: str) -> str:
    """`text` in the form in which the provider takes a secret's data."""
    return base64.b64encode(text.encode()).decode()
