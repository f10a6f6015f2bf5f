"""The policies: what each refuses, and what it lets pass."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from policy import rules

GOOD: dict[str, Any] = {
    "name": "s_proxy",
    "labels": [{"label": "traefik.enable", "value": "true"}],
    "taskSpec": {
        "containerSpec": {
            "image": "traefik:v3@sha256:" + "0" * 64,
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
    ("stateful_services_pinned", "taskSpec.placement.constraints", ["node.role == manager"]),
    ("stateful_services_pinned", "taskSpec.placement.constraints", ["node.labels.a != b"]),
    ("memory_limited", "taskSpec.resources.limits", {}),
    ("images_by_digest", f"{CONTAINER}.image", "registry:3.1.2"),
    ("no_latest", f"{CONTAINER}.image", "registry:latest@sha256:" + "0" * 64),
    ("no_latest", f"{CONTAINER}.image", "localhost:5000/registry@sha256:" + "0" * 64),
    ("updates_can_be_undone", "updateConfig.failureAction", "pause"),
    ("updates_can_be_undone", "rollbackConfig", None),
    ("updates_can_be_undone", f"{CONTAINER}.healthcheck", {}),
    ("updates_can_be_undone", f"{CONTAINER}.stopGracePeriod", ""),
    ("logs_rotated", "taskSpec.logDriver", {}),
    ("logs_rotated", "taskSpec.logDriver.options", {"max-file": "3"}),
    ("ports_on_the_proxy_only", "name", "s_registry"),
    (
        "ports_on_the_proxy_only",
        "endpointSpec.ports",
        [{"targetPort": 80, "publishMode": "ingress"}],
    ),
    ("socket_for_the_proxy_only", "name", "s_registry"),
    ("socket_for_the_proxy_only", f"{CONTAINER}.mounts", [{"source": "/run/docker.sock"}]),
]


def with_(path: str, value: Any) -> dict[str, Any]:
    """`GOOD` but for one input."""
    inputs = copy.deepcopy(GOOD)
    *folders, last = path.split(".")
    place = inputs
    for folder in folders:
        place = place[folder]
    place[last] = value
    return inputs


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: str(rule.__name__))
def test_a_service_as_it_should_be_passes(rule: Any) -> None:
    assert list(rule(GOOD)) == []


@pytest.mark.parametrize(("rule", "path", "value"), BREAKS)
def test_what_breaks_a_rule_is_told(rule: str, path: str, value: Any) -> None:
    problems = list(getattr(rules, rule)(with_(path, value)))
    assert problems
    assert not any("hunter2" in problem or "Mb6I" in problem for problem in problems)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{CONTAINER}.env", {"CF_DNS_API_TOKEN_FILE": "/run/secrets/CF_DNS_API_TOKEN"}),
        (f"{CONTAINER}.commands", ["env", "CF_DNS_API_TOKEN_FILE=/run/secrets/x"]),
        ("labels", [{"label": "x.basicauth.usersfile", "value": "/run/secrets/users"}]),
        (f"{CONTAINER}.args", ["--entrypoints.http.address=:80"]),
    ],
)
def test_the_place_of_a_secret_is_none(path: str, value: Any) -> None:
    assert list(rules.no_plain_secrets(with_(path, value))) == []


def test_storage_that_all_nodes_see_needs_no_pin() -> None:
    shared = {"type": "volume", "source": "nfs", "volumeOptions": {"driverOptions": {"o": "x"}}}
    inputs = with_(f"{CONTAINER}.mounts", [shared])
    inputs["taskSpec"]["placement"]["constraints"] = []
    assert list(rules.stateful_services_pinned(inputs)) == []


def test_a_config_with_a_secret_is_told() -> None:
    def data(text: str) -> dict[str, str]:
        return {"data": base64.b64encode(text.encode()).decode()}

    assert list(rules.no_secret_configs(data(PEM)))
    assert list(rules.no_secret_configs(data(APR1)))
    assert not list(rules.no_secret_configs(data(json.dumps({"minVersion": "VersionTLS12"}))))


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
