"""Policies on configs, and which stacks they are for."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pulumi_docker as docker
import pytest

from components import (
    Credentials,
    CredentialsArgs,
    Dashboard,
    Https,
    MountedData,
    Proxy,
    ProxyArgs,
    ProxyOptions,
    Redis,
    RedisArgs,
    RedisOptions,
    Registry,
    RegistryArgs,
    RegistryOptions,
    Route,
    SocketProxy,
    SocketProxyArgs,
    SocketProxyOptions,
    SwarmStack,
    TokenServer,
    TokenServerArgs,
    TokenServerOptions,
)
from components.swarm.task import volume_mount
from components.traefik.flags import Acme
from ops import policy as asked
from ops.config import Config
from policy import rules

from .conftest import Deploy
from .shared_policy import APR1, DIGEST, EVERY, PEM


def problems_of_config(content: bytes, lines: bool = False) -> list[str]:
    encode = base64.encodebytes if lines else base64.b64encode
    return list(rules.no_secret_configs({"data": encode(content).decode()}))


@pytest.mark.parametrize("lines", [False, True], ids=["one line", "lines of base64"])
@pytest.mark.parametrize(
    "content",
    [
        PEM,
        APR1,
        "storage:\n  s3:\n    secretkey: hunter2\n" + "# more\n" * 20,
        json.dumps({"http": {"secret": "hunter2"}}),
        "[db]\npassword = hunter2\n",
        "command: --token=hunter2\n",
        "\xff not UTF-8: token=hunter2",
    ],
)
def test_a_config_with_a_secret_is_told(content: str, lines: bool) -> None:
    (problem,) = problems_of_config(content.encode("latin-1"), lines)
    assert "make it a Swarm secret" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"minVersion": "VersionTLS12", "keyFile": "/run/secrets/key"}),
        "auth:\n  token:\n    realm: https://auth.example.com\n  htpasswd:\n    realm: basic\n",
        "backend: token:8080\n",
        "password: ${DB_PASSWORD}\nmatch:\n  key: app\n",
    ],
)
def test_a_config_without_one_passes(content: str) -> None:
    assert problems_of_config(content.encode()) == []


def test_a_config_that_is_not_known_yet_passes() -> None:
    assert list(rules.no_secret_configs({})) == []
    assert list(rules.no_secret_configs({"data": "not base64"})) == []


LONG = 2**19
"""Characters: what Swarm takes as a config."""


@pytest.mark.parametrize(
    "part",
    ["a", "a.", "a-", "a=", "eyJ-", "a://b:", "://", "password=", "password=$(", "token=/a/b/",
     "authorization ", "-----BEGIN ", "$2a$", "{SHA}", "a ", "${a", "[1", "A", "aB", "ghp_"],
)  # fmt: skip
def test_a_long_text_takes_no_longer_than_its_length(part: str) -> None:
    # Each of the parts was once read to the text's end from each beginning: for minutes, hours.
    text = part * (LONG // len(part))
    for kind, inputs in (
        (rules.no_secret_configs, {"data": base64.b64encode(text.encode()).decode()}),
        (rules.no_plain_secrets, {"labels": [{"label": text[:LONG], "value": text}]}),
        (rules.no_plain_secrets, {"taskSpec": {"containerSpec": {"args": [text]}}}),
    ):
        list(kind(inputs))


def test_the_smallest_service_breaks_no_rule_by_a_traceback() -> None:
    def run(rule: Any) -> Iterator[str]:
        yield from rule({"name": "x", "taskSpec": {"containerSpec": {"image": "x"}}})

    assert {rule.__name__ for rule in EVERY if list(run(rule))} == {
        "memory_limited",
        "images_by_digest",
        "no_latest",
        "updates_can_be_undone",
        "logs_rotated",
    }


@pytest.mark.parametrize(
    ("values", "mandatory"),
    [
        ({}, False),
        ({"registry:policy": "advisory"}, False),
        ({"registry:policy": "mandatory"}, True),
    ],
)
def test_a_stack_gets_the_policies_as_its_file_says(
    values: dict[str, str], mandatory: bool
) -> None:
    flags = asked.flags(Config(stack="any", values=values))
    assert flags[:2] == ["--policy-pack", "policy"]
    assert ("--policy-pack-config" in flags) is mandatory


def test_of_the_committed_stacks_production_is_strict() -> None:
    names = ("prod", "stag", "local.example")
    files = {name: asked.PACK.parent / f"Pulumi.{name}.yaml" for name in names}
    line = "registry:policy: mandatory"
    assert [name for name, file in files.items() if line in file.read_text()] == ["prod"]


PIN = "node.labels.s.certificates == true"
"""The constraint that a volume hands out."""


def all_components() -> None:
    """Declare each component that makes a service, with the digests that a deployment looks up."""
    stack = SwarmStack(name="s")
    users = Credentials("users", CredentialsArgs(stack=stack)).secret
    route = Route(
        domain="registry.example.com",
        tag="s",
        network="n",
        constraint_label="traefik.constraint-label",
        constraint_value="s",
        https=Https(),
    )
    Proxy(
        "proxy",
        ProxyArgs(
            stack=stack,
            options=ProxyOptions(
                image=f"traefik:v3{DIGEST}",
                acme=Acme(challenge="dns:cloudflare", email="me@example.com"),
                secrets={"CF_DNS_API_TOKEN": "hunter2"},
                environment={"LEGO_DISABLE_CNAME_SUPPORT": "true"},
            ),
            route=route,
            network_id="n-id",
            data=MountedData(
                mounts=[volume_mount("s", "certificates", "/certificates")], constraints=[PIN]
            ),
            dashboard=Dashboard(route=route, users=users),
            socket_proxy=SocketProxy(
                "socket",
                SocketProxyArgs(
                    stack=stack, options=SocketProxyOptions(image=f"haproxy:3{DIGEST}")
                ),
            ),
        ),
    )
    Registry(
        "registry",
        RegistryArgs(
            stack=stack,
            options=RegistryOptions(image=f"registry:3{DIGEST}"),
            route=route,
            networks=["n-id"],
            htpasswd=users,
            data=MountedData(
                mounts=[volume_mount("s", "data", "/var/lib/registry")], constraints=[PIN]
            ),
            redis=Redis(
                "redis",
                RedisArgs(stack=stack, options=RedisOptions(image=f"redis:7{DIGEST}")),
            ),
        ),
    )
    declare_token_server(stack, route, users)


def declare_token_server(stack: SwarmStack, route: Route, users: docker.Secret) -> None:
    TokenServer(
        "token",
        TokenServerArgs(
            stack=stack,
            options=TokenServerOptions(image=f"registry-tools:1{DIGEST}"),
            routes={"registry": route},
            network_id="n-id",
            users=users,
        ),
    )


def test_the_components_own_services_break_no_rule(deploy: Deploy) -> None:
    services = deploy(all_components).of_type("Service")
    assert len(services) == 5
    for name, inputs in services.items():
        assert {rule.__name__: list(rule(inputs)) for rule in EVERY if list(rule(inputs))} == {}, (
            name
        )
