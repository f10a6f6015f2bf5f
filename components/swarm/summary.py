"""What of a service a setting can change: enough to see that an update was rolled back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

_Raw = Mapping[str, Any]
Summary = Mapping[str, Any]
"""Parts of a service's specification, in one form for the provider's inputs and the engine's."""


def summary_output(task: Any, endpoint: Any) -> pulumi.Output[Summary]:
    """Return the summary of the provider's arguments: `ServiceTaskSpecArgs` and ports."""
    resolved = pulumi.Output.all(pulumi.Output.from_input(task), pulumi.Output.from_input(endpoint))
    return resolved.apply(lambda parts: expected_summary(*parts))


def expected_summary(task: Any, endpoint: Any) -> Summary:
    """Return the summary of the provider's arguments, resolved."""
    container, limits = task.container_spec, task.resources and task.resources.limits
    health = container.healthcheck
    return {
        "image": container.image,
        "command": list(container.commands or []),
        "args": list(container.args or []),
        "folder": container.dir or "",
        "variables": sorted(f"{key}={value}" for key, value in (container.env or {}).items()),
        "health": list(health.tests or []) if health else [],
        "secrets": sorted(secret.secret_id for secret in container.secrets or []),
        "mounts": sorted(mount.source or "" for mount in container.mounts or []),
        "networks": sorted(network.id for network in task.networks_advanceds or []),
        "constraints": sorted(task.placement.constraints or []) if task.placement else [],
        "memory": int((limits and limits.memory_bytes) or 0),
        "cpus": int((limits and limits.nano_cpus) or 0),
        "log": dict(task.log_driver.options or {}) if task.log_driver else {},
        "ports": sorted(
            (int(port.published_port or 0), int(port.target_port))
            for port in (endpoint.ports if endpoint else None) or []
        ),
    }


def actual_summary(spec: _Raw) -> Summary:
    """Return the summary of what the engine has now, a service's specification."""
    template, endpoint = spec["TaskTemplate"], spec.get("EndpointSpec") or {}
    container, limits = template["ContainerSpec"], template.get("Resources", {}).get("Limits") or {}
    return {
        "image": container["Image"],
        "command": container.get("Command") or [],
        "args": container.get("Args") or [],
        "folder": container.get("Dir", ""),
        "variables": sorted(container.get("Env") or []),
        "health": (container.get("Healthcheck") or {}).get("Test") or [],
        "secrets": sorted(secret["SecretID"] for secret in container.get("Secrets") or []),
        "mounts": sorted(mount.get("Source", "") for mount in container.get("Mounts") or []),
        "networks": sorted(network["Target"] for network in template.get("Networks") or []),
        "constraints": sorted(template.get("Placement", {}).get("Constraints") or []),
        "memory": limits.get("MemoryBytes", 0),
        "cpus": limits.get("NanoCPUs", 0),
        "log": template.get("LogDriver", {}).get("Options") or {},
        "ports": sorted(
            (port.get("PublishedPort", 0), port["TargetPort"])
            for port in endpoint.get("Ports") or []
        ),
    }


def runs(spec: _Raw, expected: Summary) -> bool:
    """Return whether a service's specification is the expected one."""
    return not differences(spec, expected)


def differences(spec: _Raw, expected: Summary) -> list[str]:
    """Return the names of the parts of a service's specification that aren't the expected ones."""
    summary = {**actual_summary(spec)}
    if "@" not in expected["image"]:
        # The provider adds the digest to a tag when it makes a service.
        summary["image"] = summary["image"].partition("@")[0]
    return [name for name, value in expected.items() if summary[name] != value]
