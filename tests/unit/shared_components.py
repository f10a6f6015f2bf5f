"""What the tests of several components declare, under mocks."""

from __future__ import annotations

import base64
import json
from dataclasses import fields, replace
from typing import Any

from components import (
    Credentials,
    CredentialsArgs,
    MountedData,
    Proxy,
    ProxyArgs,
    ProxyOptions,
    Registry,
    RegistryArgs,
    RegistryOptions,
    Route,
    SwarmStack,
)
from components.distribution.config import (
    DATA_PATH,
)
from components.swarm.task import volume_mount

from .conftest import Deploy, Recorder

ROUTE = Route(
    domain="registry.example.com",
    tag="registry.com",
    network="traefik-public",
    constraint_label="traefik.constraint-label",
    constraint_value="traefik-public",
)


def labels(inputs: dict[str, Any]) -> dict[str, str]:
    return {label["label"]: label["value"] for label in inputs["labels"]}


STACK = SwarmStack(name="s")
MOUNT = volume_mount("registry-com", "registry-com_registry-data", DATA_PATH)


def chosen(options: type[Any], values: dict[str, Any]) -> Any:
    """Return the `options` that are among `values`, which are taken out of them."""
    names = {field.name for field in fields(options)} & values.keys()
    return options(**{name: values.pop(name) for name in names})


def registry(deploy: Deploy, **changes: Any) -> Recorder:
    """Run a registry; `changes` are of its options, or of its arguments."""

    def program() -> None:
        login = Credentials("login", CredentialsArgs(stack=STACK))
        base: dict[str, Any] = {
            "stack": SwarmStack(name="registry-com"),
            "options": chosen(RegistryOptions, changes),
            "route": ROUTE,
            "networks": ["net-id"],
            "htpasswd": login.secret,
            "data": MountedData(mounts=[MOUNT], constraints=["node.labels.x == true"]),
        }
        Registry("registry", RegistryArgs(**(base | changes)))

    return deploy(program)


def config_of(recorder: Recorder) -> dict[str, Any]:
    data = recorder.of_type("Secret")["registry-config"]["data"]
    return dict(json.loads(base64.b64decode(data["value"])))


def proxy_args(**changes: Any) -> ProxyArgs:
    """Return arguments of a proxy; `changes` are of its options, its arguments, or `https`."""
    route = replace(ROUTE, network="n", constraint_value="tag", https=changes.pop("https", None))
    options = chosen(ProxyOptions, changes)
    base: dict[str, Any] = {"stack": STACK, "route": route, "network_id": "net-id"}
    return ProxyArgs(options=options, **(base | changes))


def proxy_recorder(deploy: Deploy, **changes: Any) -> Recorder:
    return deploy(lambda: Proxy("proxy", proxy_args(**changes)) and None)


def proxy(deploy: Deploy, **changes: Any) -> dict[str, Any]:
    return proxy_recorder(deploy, **changes).of_type("Service")["proxy-traefik"]


def plain(secret: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(secret["data"]["value"]))
