"""What is changed in token mode, while others push and pull: none of their operations fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.version import TOOLS_IMAGE
from ops.bootstrap.console import wait
from testing.load import Load
from testing.site import STARTED_S, SwarmUnderTest

NAME, DOMAIN = "changes", "changes.example.com"
PROXY, SERVER = f"{NAME}_proxy", f"{NAME}_token"
IMAGE = "kept:1"
OTHER = "registry-tools:other"
RULES: list[dict[str, Any]] = [
    {"users": ["admin"], "actions": ["pull", "push"]},
    {"users": ["ci"], "repositories": ["team/**"], "actions": ["pull", "push"]},
]
ROTATE_KEY = """
import runpy, sys, time
from ops import rotate
rotate.rotate_key.__defaults__ = (lambda seconds: time.sleep(min(seconds, 10)),)
sys.argv = ["ops", "rotate"]
runpy.run_module("ops", run_name="__main__")
"""
"""`make rotate KEY=1`, with a shorter wait: no client here takes one token for longer."""


@pytest.fixture(scope="module", autouse=True)
def _deployed(site: SwarmUnderTest, archive: Path) -> None:
    swarm, project = site.swarm, site.project
    for node in swarm.nodes:
        container = swarm.docker(node, "create", TOOLS_IMAGE).strip()
        swarm.docker(node, "commit", "--change", "LABEL made=again", container, OTHER)
        swarm.docker(node, "rm", container)
    values = {"stackName": NAME, "domain": DOMAIN, "proxy": "stack", "network": NAME}
    values |= {"auth": "token", "toolsImage": TOOLS_IMAGE, "tokenLifetime": "60"}
    values |= {"users[0]": "admin", "users[1]": "ci"}
    project.init(NAME, {f"registry:{key}": value for key, value in values.items()})
    project.configure(NAME, {"registry:access": json.dumps(RULES)})
    project.up(NAME)
    site.resolve(DOMAIN, PROXY)
    # Traefik may find the token server first.
    wait("a push", partial(site.push, NAME, DOMAIN, IMAGE, archive), STARTED_S)


@pytest.fixture
def _load(site: SwarmUnderTest, archive: Path, tmp_path: Path) -> Iterator[None]:
    """Push and pull as `admin` while a test runs, and check that nothing failed."""
    load = Load(site, NAME, DOMAIN, PROXY, archive, tmp_path, pulled=IMAGE, retries=3)
    with load:
        yield
    print(json.dumps({"done": load.done, "refused": load.refused, "gap_s": round(load.gap, 2)}))
    assert load.failed == [], f"{len(load.failed)} of {load.done}"
    assert load.done > 10


def status(site: SwarmUnderTest, user: str, path: str) -> int:
    """Return the status of a request with the user's password, which holds for rights too."""
    login = f"{user}:{site.project.outputs(NAME)['passwords'][user]}"
    return site.status(f"http://{DOMAIN}{path}", login, site.node_of(PROXY))


@pytest.mark.usefixtures("_load")
def test_another_password_of_a_user(site: SwarmUnderTest) -> None:
    old = site.project.outputs(NAME)["passwords"]["ci"]
    made = site.make("rotate", "USER=ci", "OVERLAP=1h", f"STACK={NAME}", CHECK="no")
    assert made.code == 0, made.text
    assert site.project.outputs(NAME)["passwords"]["ci"] != old
    assert status(site, "ci", "/v2/") == 200
    assert site.status(f"http://{DOMAIN}/v2/", f"ci:{old}", site.node_of(PROXY)) == 200


@pytest.mark.usefixtures("_load")
def test_another_signing_key(site: SwarmUnderTest) -> None:
    folder = site.project.folder
    site.swarm.exec(
        site.swarm.outside,
        *("env", "-C", folder, folder / ".venv/bin/python", "-c", ROTATE_KEY),
        env={**site.project.environment, "KEY": "1", "STACK": NAME, "CHECK": "no"},
        timeout=600,
    )
    config = site.project.ok("config", "get", "--path", "registry:signingKeys[0]", "--stack", NAME)
    assert config.strip() == "2"


@pytest.mark.usefixtures("_load")
def test_another_rule_and_another_image_of_the_token_server(site: SwarmUnderTest) -> None:
    path = f"/v2/{IMAGE.partition(':')[0]}/tags/list"
    assert status(site, "ci", path) == 401
    more = [*RULES, {"users": ["ci"], "actions": ["pull"]}]
    values = {"registry:access": json.dumps(more), "registry:toolsImage": OTHER}
    site.project.configure(NAME, values)
    site.project.up(NAME)
    # The last of the old tasks serves on until Traefik asks no more.
    wait("the rule", lambda: status(site, "ci", path) == 200, STARTED_S)
    task = site.inspect("service", SERVER)["Spec"]["TaskTemplate"]
    assert task["ContainerSpec"]["Image"].startswith(OTHER)
