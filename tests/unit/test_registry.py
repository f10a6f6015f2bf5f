"""The registry component: secrets, configuration, tasks."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components import (
    Credentials,
    CredentialsArgs,
    MirrorOptions,
    Mirrors,
    MirrorsArgs,
    Proxy,
    Redis,
    RedisArgs,
    Registry,
    RegistryArgs,
    RegistryOptions,
    SocketProxy,
    SocketProxyArgs,
    SwarmStack,
)
from components.distribution.config import (
    Upstream,
)
from components.distribution.service import GRACEFUL_STOP, STORAGE_FIRST
from components.proxy import MAX_PROXY_SECRET
from components.redis import PASSWORD_LENGTH
from components.swarm.stack import MAX_SECRET_BYTES, secret_data, secret_name
from components.swarm.task import duration

from .conftest import Deploy
from .shared_components import (
    ROUTE,
    STACK,
    config_of,
    proxy,
    proxy_args,
    registry,
)

QUICK = replace(ROUTE, discovery_seconds=5)


def test_login_and_configuration_reach_the_registry_as_secrets_only(deploy: Deploy) -> None:
    recorder = registry(deploy)
    files = recorder.of_type("Service")["registry-service"]["taskSpec"]["containerSpec"]
    assert {file["fileName"]: file["secretId"] for file in files["secrets"]} == {
        "/etc/distribution/config.yml": "registry-config-id",
        "/run/secrets/htpasswd": "login-htpasswd-id",
    }
    assert files["env"] == {"OTEL_TRACES_EXPORTER": "none"}
    secrets = recorder.of_type("Secret")
    assert not any("name" in inputs for inputs in secrets.values())
    for inputs in secrets.values():
        assert pulumi.runtime.rpc.is_rpc_secret(inputs["data"])


def test_a_text_that_swarm_takes_no_secret_of_is_refused_by_its_size() -> None:
    assert base64.b64decode(secret_data("chain", "s" * MAX_SECRET_BYTES))
    with pytest.raises(pulumi.RunError, match=r"secret chain has 512000 bytes") as error:
        secret_data("chain", "s" * (MAX_SECRET_BYTES + 1))
    assert "sss" not in str(error.value)


def test_all_secrets_of_a_stack_begin_with_its_name(deploy: Deploy) -> None:
    def program() -> None:
        stack = SwarmStack(name="images", secret_prefix="images")
        login = Credentials("login", CredentialsArgs(stack=stack))
        redis = Redis("redis", RedisArgs(stack=stack))
        common: dict[str, Any] = {
            "stack": stack,
            "options": RegistryOptions(ca="-----BEGIN CERTIFICATE-----"),
            "networks": ["net-id"],
            "htpasswd": login.secret,
        }
        Registry("registry", RegistryArgs(route=ROUTE, redis=redis, **common))
        upstream = Upstream(url="https://ghcr.io", username="me", password="token")
        mirror = MirrorOptions(name="hub", domain="hub.example.com", upstream=upstream)
        Mirrors("mirrors", MirrorsArgs(mirrors=[mirror], routes={"hub": ROUTE}, **common))
        socket = SocketProxy("socket-proxy", SocketProxyArgs(stack=stack))
        Proxy("proxy", proxy_args(stack=stack, socket_proxy=socket, secrets={"A": "b"}))

    names = sorted(deploy(program).of_type("Secret"))
    assert {name.partition("-")[0] for name in names} == {"images"}
    assert len(names) == 10


@pytest.mark.parametrize("stack_name", ["s", "images-com", "x" * 40, "a" * 11 + "-" + "b" * 28])
@pytest.mark.parametrize(
    "name",
    [
        "registry-config",
        f"mirrors-{'m' * 24}-authorities",
        f"proxy-secret-{'a' * (MAX_PROXY_SECRET - 1)}",
        f"proxy-secret-{'a' * MAX_PROXY_SECRET}",
    ],
)
def test_a_secrets_name_begins_with_the_stacks_as_far_as_swarm_has_room(
    name: str, stack_name: str
) -> None:
    whole = secret_name(stack_name, name)
    assert len(f"{whole}-1234567") <= 64
    assert whole.endswith(name)
    prefix = whole.removesuffix(name).rstrip("-")
    assert stack_name.startswith(prefix)
    assert "--" not in whole
    if len(stack_name) + len(name) < 56:
        assert whole == f"{stack_name}-{name}"


def test_redis_is_found_by_its_password_which_only_secrets_have(deploy: Deploy) -> None:
    def program() -> None:
        redis = Redis("redis", RedisArgs(stack=STACK))
        options = RegistryOptions(
            replicas=3,
            spread="node.labels.zone",
            ca="-----BEGIN CERTIFICATE-----",
            config={"storage": {"s3": {"bucket": "b", "region": "eu-central-1"}}},
        )
        args = RegistryArgs(
            stack=STACK,
            options=options,
            route=ROUTE,
            networks=["net-id", "storage-id"],
            htpasswd=None,
            redis=redis,
        )
        Registry("registry", args)

    recorder = deploy(program)
    config = config_of(recorder)
    assert config["redis"] == {"addrs": ["s_redis:6379"], "password": "p" * PASSWORD_LENGTH}
    assert config["storage"]["cache"] == {"blobdescriptor": "redis"}
    services = recorder.of_type("Service")
    assert "pppp" not in json.dumps(services)
    cache = services["redis-service"]["taskSpec"]["containerSpec"]
    assert cache["user"] == "999:999"
    (file,) = cache["secrets"]
    assert (file["fileUid"], file["fileMode"]) == ("999", 0o400)
    registry = services["registry-service"]
    assert registry["mode"] == {"replicated": {"replicas": 3}}
    assert registry["taskSpec"]["placement"]["prefs"] == ["node.labels.zone"]
    networks = {each["id"] for each in registry["taskSpec"]["networksAdvanceds"]}
    assert networks == {"net-id", "storage-id", "redis-network-id"}
    assert recorder.of_type("Network")["redis-network"]["internal"] is True
    container = registry["taskSpec"]["containerSpec"]
    files = [file["fileName"] for file in container["secrets"]]
    assert "/etc/distribution/authorities/further.pem" in files
    assert "SSL_CERT_DIR=/etc/distribution/authorities" in container["commands"]


def seconds_of(duration: str) -> int:
    """Return the seconds of a duration as Go writes it, such as 1h0m20s."""
    parts = re.findall(r"(\d+)([hms])", duration)
    assert "".join(map("".join, parts)) == duration
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)


def after(part: str, command: Sequence[str]) -> list[str]:
    """Return what follows a part of a command."""
    return list(command[command.index(part) + 1 :])


def heap_mib(command: Sequence[str]) -> int:
    """Return the memory that Go keeps below, by a command's variables, MiB."""
    (limit,) = (part for part in command if part.startswith("GOMEMLIMIT="))
    return int(limit.removeprefix("GOMEMLIMIT=").removesuffix("MiB"))


@pytest.mark.parametrize("drain", [10, 40, 60, 3600])
def test_a_stopping_registry_gets_longer_than_it_serves_on_and_drains(
    deploy: Deploy, drain: int
) -> None:
    recorder = registry(deploy, route=QUICK, drain_seconds=drain)
    container = recorder.of_type("Service")["registry-service"]["taskSpec"]["containerSpec"]
    serves_on = int(after("graceful-stop", container["commands"])[0])
    assert serves_on == QUICK.discovery_seconds
    assert seconds_of(config_of(recorder)["http"]["draintimeout"]) == drain
    assert seconds_of(container["stopGracePeriod"]) > serves_on + drain


def test_a_task_stops_in_order_and_listens_once_its_storage_can_be_read(deploy: Deploy) -> None:
    recorder = registry(deploy, route=QUICK)
    container = recorder.of_type("Service")["registry-service"]["taskSpec"]["containerSpec"]
    command = container["commands"]
    # Each runs the rest of the command.
    order = [GRACEFUL_STOP, "/usr/bin/env", STORAGE_FIRST, "/entrypoint.sh"]
    assert [part for part in command if part in order] == order
    (config,) = after("/entrypoint.sh", command)
    assert config in [file["fileName"] for file in container["secrets"]]


@pytest.mark.parametrize("limit", [64, 512, 4096])
def test_go_keeps_its_heap_below_the_memory_of_its_task(deploy: Deploy, limit: int) -> None:
    registries = registry(deploy, memory_mib=limit).of_type("Service")["registry-service"]
    assert limit / 3 < heap_mib(registries["taskSpec"]["containerSpec"]["commands"]) < limit
    traefik = proxy(deploy, memory_mib=limit)
    assert limit / 3 < heap_mib(traefik["taskSpec"]["containerSpec"]["commands"]) < limit


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(45, "45s"), (60, "1m"), (80, "1m20s"), (3600, "1h"), (3635, "1h0m35s"), (3660, "1h1m")],
)
def test_durations_are_as_the_provider_prints_them(seconds: int, expected: str) -> None:
    # In any other form they would be a difference on each `up`.
    assert duration(seconds) == expected
