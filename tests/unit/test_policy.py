"""The policies: what each refuses, and what it lets pass."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any

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
)
from components.swarm.task import volume_mount
from components.traefik.flags import Acme
from ops import policy as asked
from ops.config import Config
from policy import rules

from .conftest import Deploy

DIGEST = "@sha256:" + "0" * 64
GOOD: dict[str, Any] = {
    "name": "s_proxy",
    "labels": [{"label": "traefik.enable", "value": "true"}],
    "taskSpec": {
        "containerSpec": {
            "image": f"traefik:v3{DIGEST}",
            "args": ["--ping=true"],
            "env": {"OTEL_TRACES_EXPORTER": "none"},
            "mounts": [
                {"type": "volume", "source": "data", "target": "/data"},
                {"type": "bind", "source": "/var/run/docker.sock", "readOnly": True},
            ],
            "healthcheck": {"tests": ["CMD", "true"]},
            "stopGracePeriod": "30s",
        },
        "placement": {"constraints": ["node.labels.s.data == true"]},
        "resources": {"limits": {"memoryBytes": 1 << 28}},
        "logDriver": {"name": "json-file", "options": {"max-size": "10m"}},
    },
    "updateConfig": {"failureAction": "rollback"},
    "rollbackConfig": {"order": "stop-first"},
    "endpointSpec": {"ports": [{"publishedPort": 80, "publishMode": "host"}]},
}
EVERY = [
    rules.no_plain_secrets,
    rules.stateful_services_pinned,
    rules.memory_limited,
    rules.images_by_digest,
    rules.no_latest,
    rules.updates_can_be_undone,
    rules.logs_rotated,
    rules.ports_on_the_proxy_only,
    rules.socket_for_the_proxy_only,
]
CONTAINER = "taskSpec.containerSpec"
APR1 = "admin:$apr1$8sdhfjsd$Mb6IbAMxSMVRIsDe0lS.j/"
PEM = "-----BEGIN EC PRIVATE KEY-----\nabc"

# Name of the rule, path of the input, and the value that breaks it.
BREAKS: list[tuple[str, str, Any]] = [
    ("no_plain_secrets", "labels", [{"label": "x.basicauth.users", "value": APR1}]),
    ("no_plain_secrets", f"{CONTAINER}.labels", [{"label": "db.password", "value": "hunter2"}]),
    ("no_plain_secrets", f"{CONTAINER}.env", {"REGISTRY_HTTP_SECRET": "hunter2"}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"AWS_SECRET_ACCESS_KEY": "hunter2"}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"X": PEM}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"DB": "postgres://me:hunter2@db/x"}),
    ("no_plain_secrets", f"{CONTAINER}.args", ["--s3.accesskey=hunter2"]),
    ("no_plain_secrets", f"{CONTAINER}.commands", ["env", "CF_DNS_API_TOKEN=hunter2"]),
    ("no_plain_secrets", f"{CONTAINER}.args", ["--password", "hunter2"]),
    ("no_plain_secrets", f"{CONTAINER}.args", ["sh", "-c", "export PASSWORD='hunter2'; run"]),
    ("no_plain_secrets", f"{CONTAINER}.args", ["x", APR1]),
    ("no_plain_secrets", f"{CONTAINER}.args", ["swarm", "join", "SWMTKN-1-hunter2hunter2"]),
    ("no_plain_secrets", f"{CONTAINER}.healthcheck.tests", ["CMD", "x", "--token=hunter2"]),
    (
        "no_plain_secrets",
        f"{CONTAINER}.healthcheck.tests",
        ["CMD", "curl", "-H", "Authorization: Basic hunter2"],
    ),
    ("no_plain_secrets", f"{CONTAINER}.env", {"ENCRYPTION_KEY": "hunter2"}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"DB_PWD": "hunter2"}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"dbPassword": "hunter2"}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"mypassword": "hunter2"}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"AWS_SECRET_ACCESS_KEY": "/hunter2+x=="}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"CACHE": "redis://:hunter2@cache"}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"JWT": "eyJhunter2hunter2.eyJhunter2hunter2.x"}),
    ("no_plain_secrets", "labels", [{"label": "m.basicauth.users", "value": "me:rl0uE0G9VPZ0g"}]),
    ("no_plain_secrets", "labels", [{"label": "m.BasicAuth.Users[0]", "value": "me:hunter2"}]),
    ("no_plain_secrets", "labels", [{"label": "x", "value": APR1.replace("$", "$$")}]),
    ("no_plain_secrets", "taskSpec.logDriver.options", {"splunk-token": "hunter2"}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"DB_PASSWORD": "$Summer2024"}),
    ("no_plain_secrets", f"{CONTAINER}.env", {"DB_PASSWORD": "/Tr0ub4dor"}),
    (
        "no_plain_secrets",
        f"{CONTAINER}.mounts",
        [{"volumeOptions": {"driverOptions": {"o": "username=me,password=hunter2"}}}],
    ),
    ("stateful_services_pinned", "taskSpec.placement.constraints", ["node.role == manager"]),
    ("stateful_services_pinned", "taskSpec.placement.constraints", ["node.labels.a != b"]),
    ("stateful_services_pinned", "taskSpec.placement.constraints", ["node.labels.zone == eu"]),
    ("stateful_services_pinned", "taskSpec.placement.constraints", None),
    ("memory_limited", "taskSpec.resources.limits", {}),
    ("images_by_digest", f"{CONTAINER}.image", "registry:3.1.2"),
    ("images_by_digest", f"{CONTAINER}.image", "registry:3.1.2@sha256:abc"),
    ("no_latest", f"{CONTAINER}.image", f"registry:latest{DIGEST}"),
    ("no_latest", f"{CONTAINER}.image", f"localhost:5000/registry{DIGEST}"),
    ("updates_can_be_undone", "updateConfig.failureAction", "pause"),
    ("updates_can_be_undone", "rollbackConfig", None),
    ("updates_can_be_undone", f"{CONTAINER}.healthcheck", {}),
    ("updates_can_be_undone", f"{CONTAINER}.healthcheck", {"tests": ["NONE"]}),
    ("updates_can_be_undone", f"{CONTAINER}.stopGracePeriod", ""),
    ("updates_can_be_undone", f"{CONTAINER}.stopGracePeriod", "0s"),
    ("logs_rotated", "taskSpec.logDriver", {}),
    ("logs_rotated", "taskSpec.logDriver.options", {"max-file": "3"}),
    ("logs_rotated", "taskSpec.logDriver.options", {"max-size": "-1"}),
    ("ports_on_the_proxy_only", "name", "s_registry"),
    ("ports_on_the_proxy_only", "name", "s_socket_proxy"),
    (
        "ports_on_the_proxy_only",
        "endpointSpec.ports",
        [{"targetPort": 80, "publishMode": "ingress"}],
    ),
    ("socket_for_the_proxy_only", "name", "s_registry"),
    ("socket_for_the_proxy_only", f"{CONTAINER}.mounts", [{"source": "/run/docker.sock"}]),
    ("socket_for_the_proxy_only", f"{CONTAINER}.mounts", [{"type": "bind", "source": "/run/"}]),
    ("socket_for_the_proxy_only", f"{CONTAINER}.mounts", [{"type": "bind", "source": "/"}]),
    *(
        ("socket_for_the_proxy_only", f"{CONTAINER}.mounts", [{"type": "bind", "source": source}])
        for source in (
            "/etc",
            "/etc/shadow",
            "/proc",
            "/run/containerd/containerd.sock",
            "/var/lib/docker/volumes",
        )
    ),
]


def with_(path: str, value: Any) -> dict[str, Any]:
    """Return `GOOD` but for one input."""
    inputs = copy.deepcopy(GOOD)
    *folders, last = path.split(".")
    target = inputs
    for folder in folders:
        target = target[folder]
    target[last] = value
    return inputs


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: str(rule.__name__))
def test_a_service_as_it_should_be_passes(rule: Any) -> None:
    assert list(rule(GOOD)) == []


@pytest.mark.parametrize(("rule", "path", "value"), BREAKS)
def test_what_breaks_a_rule_is_told(rule: str, path: str, value: Any) -> None:
    problems = list(getattr(rules, rule)(with_(path, value)))
    assert problems
    assert not any("hunter2" in problem or "Mb6I" in problem for problem in problems)


def test_what_every_node_shows_may_be_mounted() -> None:
    mounts = [{"type": "bind", "source": "/etc/localtime", "readOnly": True}]
    inputs = with_(f"{CONTAINER}.mounts", mounts)
    assert list(rules.socket_for_the_proxy_only(inputs)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{CONTAINER}.env", {"CF_DNS_API_TOKEN_FILE": "/run/secrets/CF_DNS_API_TOKEN"}),
        (f"{CONTAINER}.commands", ["env", "CF_DNS_API_TOKEN_FILE=/run/secrets/x"]),
        ("labels", [{"label": "x.basicauth.usersfile", "value": "/run/secrets/users"}]),
        (f"{CONTAINER}.args", ["--entrypoints.http.address=:80"]),
        (f"{CONTAINER}.args", ["--password-file", "/run/secrets/x"]),
        (f"{CONTAINER}.args", ["sh", "-c", "export PASSWORD=$(cat /run/secrets/x); a --token=$T"]),
        (f"{CONTAINER}.args", ["--ca.acme.keytype=EC256", "--no-password", "serve"]),
        (f"{CONTAINER}.env", {"REGISTRY_AUTH_TOKEN_REALM": "https://auth.example.com/token"}),
        (f"{CONTAINER}.env", {"PUBLIC_KEY": "x", "TOKEN_TTL": "5m", "MONKEY": "x", "BYPASS": "x"}),
        ("labels", [{"label": "r.rule", "value": "Host(`a`) && Header(`X-Token`, `b`)"}]),
        ("labels", [{"label": "s.sticky.cookie.name", "value": "token"}]),
        (f"{CONTAINER}.env", {"A_PASSWORD": "$DB_PASSWORD", "B_PASSWORD": "${pass}"}),
        (f"{CONTAINER}.env", {"A_SECRET": "/run/secrets/a", "B_KEY": "./b.pem", "C_KEY": "/c.pem"}),
    ],
)
def test_what_only_looks_like_a_secret_passes(path: str, value: Any) -> None:
    assert list(rules.no_plain_secrets(with_(path, value))) == []


def volume(**options: Any) -> dict[str, Any]:
    """Return a mount of a volume with these options."""
    return {"type": "volume", "source": "data", "volumeOptions": options}


@pytest.mark.parametrize(
    ("mount", "on_one_node"),
    [
        (volume(), True),
        (volume(driverName="local"), True),
        (volume(driverOptions={"type": "none", "o": "bind", "device": "/srv/data"}), True),
        (volume(driverOptions={"type": "nfs", "o": "addr=nas", "device": ":/export"}), False),
        (volume(driverOptions={"type": "cifs", "device": "//nas/share"}), False),
        (volume(driverName="rexray/ebs"), False),
        ({"type": "bind", "source": "/srv/data"}, True),
        ({"type": "bind", "source": "/etc/ssl/certs", "readOnly": True}, False),
        ({"type": "tmpfs", "target": "/tmp"}, False),  # noqa: S108
    ],
)
def test_a_pin_is_asked_for_where_the_data_are_on_one_node(mount: Any, on_one_node: bool) -> None:
    inputs = with_(f"{CONTAINER}.mounts", [mount])
    assert list(rules.stateful_services_pinned(inputs)) == []
    inputs["taskSpec"]["placement"]["constraints"] = ["node.role == manager"]
    assert bool(list(rules.stateful_services_pinned(inputs))) is on_one_node


@pytest.mark.parametrize(
    "pin", ["node.labels.s.data == true", "node.labels.s.data==true", "node.hostname == dog"]
)
def test_every_form_of_a_pin_counts(pin: str) -> None:
    inputs = with_("taskSpec.placement.constraints", ["node.role == manager", pin])
    assert list(rules.stateful_services_pinned(inputs)) == []


def test_the_nodes_own_network_is_no_way_round_the_proxy() -> None:
    inputs = with_("taskSpec.networksAdvanceds", [{"id": "host"}])
    assert list(rules.ports_on_the_proxy_only(inputs)) == []
    inputs |= {"name": "s_db", "endpointSpec": {}}
    (problem,) = rules.ports_on_the_proxy_only(inputs)
    assert "its node's own network" in problem


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


def test_the_components_own_services_break_no_rule(deploy: Deploy) -> None:
    # But for the digest and the pin, which come from outside.
    pin = "node.labels.s.certificates == true"

    def program() -> None:
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
                    mounts=[volume_mount("s", "certificates", "/certificates")], constraints=[pin]
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
                    mounts=[volume_mount("s", "data", "/var/lib/registry")], constraints=[pin]
                ),
                redis=Redis(
                    "redis",
                    RedisArgs(stack=stack, options=RedisOptions(image=f"redis:7{DIGEST}")),
                ),
            ),
        )

    services = deploy(program).of_type("Service")
    assert len(services) == 4
    for name, inputs in services.items():
        assert {rule.__name__: list(rule(inputs)) for rule in EVERY if list(rule(inputs))} == {}, (
            name
        )
