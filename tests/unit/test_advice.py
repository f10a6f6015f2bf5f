"""Which setting helps when a task can't run, and what is to be typed."""

from __future__ import annotations

from typing import Any

import pytest

from components.distribution.config import REGISTRY_IMAGE
from components.proxy import TRAEFIK_IMAGE
from components.swarm.task_failure import read_failure
from settings.advice import advice

from .shared_settings import settings

SET = "pulumi config set --stack stag"
PROXY: dict[str, Any] = {"stackName": "s", "proxy": "stack", "proxyHttpPort": 8080}
TAKEN = "Bind for 0.0.0.0:{} failed: port is already allocated"


@pytest.mark.parametrize(
    ("service", "error", "values", "typed"),
    [
        ("s_proxy", TAKEN.format(8080), PROXY, f"{SET} registry:proxyHttpPort PORT"),
        ("s_proxy", TAKEN.format(443), PROXY, f"{SET} registry:proxyHttpsPort PORT"),
        (
            "s_proxy",
            TAKEN.format(8090),
            PROXY | {"proxyDashboardPort": 8090},
            f"{SET} registry:proxyDashboardPort PORT",
        ),
        ("s_other", TAKEN.format(1), {}, ""),
        (
            "s_registry",
            f"No such image: {REGISTRY_IMAGE}@sha256:{'0' * 64}",
            {},
            f"{SET} registry:image IMAGE:TAG",
        ),
        (
            "s_proxy",
            f"No such image: {TRAEFIK_IMAGE}",
            PROXY,
            f"{SET} registry:proxyImage IMAGE:TAG",
        ),
        ("s_registry", "task: non-zero exit (137)", {}, f"{SET} registry:memory 1024MiB"),
        ("s_proxy", "task: non-zero exit (137)", PROXY, f"{SET} registry:proxyMemory 1024MiB"),
        (
            "s_mirror-hub",
            "task: non-zero exit (137)",
            {"memory": "1GiB"},
            f"{SET} registry:memory 2048MiB",
        ),
        ("s_socket_proxy", "task: non-zero exit (137)", PROXY, ""),
        ("s_registry", "no suitable node", {}, ""),
        (
            "s_registry",
            "no suitable node",
            {"constraints": ["node.labels.disk == fast"]},
            "pulumi config rm --stack stag registry:constraints",
        ),
        (
            "s_registry",
            "failed to mount local volume: mount :/srv:/x: no such file or directory",
            {"volumeOptions": {"type": "nfs", "device": ":/srv"}},
            f"{SET} --path registry:volumeOptions.type VALUE",
        ),
    ],
)
def test_a_failure_names_the_setting_that_helps(
    service: str, error: str, values: dict[str, Any], typed: str
) -> None:
    advise = advice(settings(**{"stackName": "s", **values}), "stag")
    text = advise(read_failure(error, service=service, node="dog"))
    assert typed in text
    assert bool(typed) == bool(text)


def test_where_swarm_itself_finds_a_port_taken_each_of_them_is_named() -> None:
    error = "no suitable node (host-mode port already in use on 3 nodes)"
    failure = read_failure(error, service="s_proxy", published=(8080, 443))
    text = advice(settings(**PROXY), "stag")(failure)
    assert "registry:proxyHttpPort PORT" in text
    assert "registry:proxyHttpsPort PORT" in text
    assert text.count("Free the port") == 1
