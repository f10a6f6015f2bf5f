"""Policies on services: what breaks each, and what passes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from policy import rules

from .shared_policy import APR1, DIGEST, EVERY, PEM

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
CONTAINER = "taskSpec.containerSpec"

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
