"""The conformance suite of OCI's distribution specification: a bare registry, and both logins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from components.distribution.config import REGISTRY_IMAGE
from components.version import TOOLS_IMAGE
from ops.bootstrap.console import wait
from testing.site import STARTED_S, SwarmUnderTest
from testing.testswarm import Node
from testing.tools import tool

from .conftest import PLAIN_DOMAIN, PLAIN_PORT

NAME, HOST = "conform", f"{PLAIN_DOMAIN}:{PLAIN_PORT}"
PROXY = f"{NAME}_proxy"
BARE_PORT = 5055
SUITE_S = 300
"""Time limit of a run of the suite, which takes seconds."""
Counts = Mapping[str, Counter[str]]
"""Tests by group and outcome: `passed`, `skipped`, `failure`, `error`."""


@pytest.fixture(scope="module")
def bare(site: SwarmUnderTest) -> Iterator[str]:
    """Yield the address of a registry of the same image, without Traefik and login."""
    node = site.swarm.nodes[0]
    variables = ("REGISTRY_STORAGE_DELETE_ENABLED=true", "OTEL_TRACES_EXPORTER=none")
    options = [part for each in variables for part in ("--env", each)]
    port = ("--publish", f"{BARE_PORT}:5000")
    args = ("run", "--detach", "--rm", *port, *options, REGISTRY_IMAGE)
    container = site.swarm.docker(node, *args)
    yield f"{node.ip}:{BARE_PORT}"
    site.swarm.docker(node, "rm", "--force", "--volumes", container)


def suite(site: SwarmUnderTest, host: str, folder: Path, login: str = "") -> Counts:
    """Run the suite outside the swarm, and return how its tests went."""
    folder.mkdir()
    user, _, password = login.partition(":")
    variables = {"OCI_REGISTRY": host, "OCI_TLS": "disabled", "OCI_VERSION": "1.1"}
    variables |= {"OCI_USERNAME": user, "OCI_PASSWORD": password, "OCI_RESULTS_DIR": str(folder)}
    program = tool("conformance")
    # It ends with 1 where one test fails, as with some of the bare registry's.
    site.swarm.exec(site.swarm.outside, program, check=False, timeout=SUITE_S, env=variables)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    # The suite's own file.
    for case in ElementTree.parse(folder / "junit.xml").iter("testcase"):  # noqa: S314
        _, group, *_ = case.attrib["name"].split("/")
        counts[group][case.attrib["status"]] += 1
    return counts


def ready(site: SwarmUnderTest, login: str, path: str, node: Node) -> None:
    url = f"http://{HOST}{path}"
    wait(f"{url} to answer", lambda: site.status(url, login, node) == 200, STARTED_S)


def test_no_group_of_tests_is_worse_behind_either_login(
    site: SwarmUnderTest, bare: str, tmp_path: Path
) -> None:
    project = site.project
    values = {"stackName": NAME, "domain": PLAIN_DOMAIN, "proxy": "stack", "network": NAME}
    values |= {"https": "none", "proxyHttpPort": str(PLAIN_PORT)}
    values |= {"config.storage.delete.enabled": "true"}
    project.init(NAME, {f"registry:{key}": value for key, value in values.items()})
    project.up(NAME)
    node, login = site.resolve(PLAIN_DOMAIN, PROXY), site.login(NAME)
    ready(site, login, "/v2/", node)
    results = {
        "bare": suite(site, bare, tmp_path / "bare"),
        "basic": suite(site, HOST, tmp_path / "basic", login),
    }
    project.configure(NAME, {"registry:auth": "token", "registry:toolsImage": TOOLS_IMAGE})
    project.up(NAME)
    ready(site, login, f"/auth/token?service={NAME}", node)
    site.takes_tokens(f"http://{HOST}/v2/", node)
    results["token"] = suite(site, HOST, tmp_path / "token", login)
    for name, counts in results.items():
        total: Counter[str] = sum(counts.values(), Counter())
        print(name, dict(total), {group: dict(each) for group, each in counts.items()})
    for worse, better in (("token", "basic"), ("token", "bare"), ("basic", "bare")):
        for group, expected in results[better].items():
            assert results[worse][group]["passed"] >= expected["passed"], (worse, better, group)
            for bad in ("failure", "error"):
                assert results[worse][group][bad] <= expected[bad], (worse, better, group)
    assert sum(counts["passed"] for counts in results["bare"].values()) > 100, "it has run"
