"""What stands against a deployment is said before anything is made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.distribution.config import REGISTRY_IMAGE
from components.swarm.engine import Engine
from components.swarm.preflight import is_this_machine
from testing.site import SwarmUnderTest

STACK = "early"
DOMAIN = "early.example.com"
OTHER = "shop_ui"
SETTINGS = {
    "registry:stackName": STACK,
    "registry:domain": DOMAIN,
    "registry:proxy": "stack",
    "registry:network": STACK,
}


@pytest.fixture(scope="module", autouse=True)
def _stack(site: SwarmUnderTest) -> None:
    """Make a stack that isn't deployed."""
    site.project.init(STACK, SETTINGS)


@pytest.fixture
def other(site: SwarmUnderTest, request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a service of somebody else's, with those flags."""
    first = site.any_node()
    create = ("service", "create", "--detach=false", "--no-resolve-image", "--name", OTHER)
    stack = ("--label", "com.docker.stack.namespace=shop")
    site.swarm.docker(first, *create, *stack, *request.param, REGISTRY_IMAGE)
    yield
    site.swarm.docker(first, "service", "rm", OTHER)


def refused(site: SwarmUnderTest) -> str:
    """Return the refusal of a deployment without a preview, which makes nothing."""
    result = site.project.pulumi("up", "--yes", "--skip-preview", "--stack", STACK)
    assert result.code != 0
    assert "Traceback" not in result.text
    first = site.any_node()
    for kind in ("service", "network", "secret"):
        assert STACK not in site.swarm.docker(first, kind, "ls"), kind
    return result.text


def routed(rule: str) -> tuple[str, ...]:
    labels = {
        "traefik.enable": "true",
        "traefik.constraint-label": STACK,
        "traefik.http.routers.ui.rule": rule,
        "traefik.http.services.ui.loadbalancer.server.port": "80",
    }
    return tuple(word for key, text in labels.items() for word in ("--label", f"{key}={text}"))


EVERYWHERE = ("--mode", "global", "--publish", "mode=host,target=5000,published=80")


@pytest.mark.parametrize("other", [EVERYWHERE], indirect=True)
@pytest.mark.usefixtures("other")
def test_a_port_that_is_taken_on_every_manager_is_refused(site: SwarmUnderTest) -> None:
    text = refused(site)
    for node in site.swarm.nodes:
        assert f"Port 80 of node {node.name} is taken by service {OTHER} of stack shop" in text
    assert f"pulumi config set --stack {STACK} registry:proxyHttpPort 8080" in text


@pytest.mark.parametrize("other", [routed(f"Host(`{DOMAIN}`)")], indirect=True)
@pytest.mark.usefixtures("other")
def test_a_host_that_another_service_has_is_refused(site: SwarmUnderTest) -> None:
    assert f"{DOMAIN} leads to service {OTHER} of stack shop already" in refused(site)


@pytest.mark.parametrize("other", [routed(f"Host(`{DOMAIN}`) && PathPrefix(`/ui`)")], indirect=True)
@pytest.mark.usefixtures("other")
def test_a_part_of_the_host_is_a_warning_and_so_is_an_image_that_isnt_here(
    site: SwarmUnderTest,
) -> None:
    site.project.set(STACK, "registry:image", "registry:no-such-tag")
    preview = site.project.preview(STACK)
    site.project.unset(STACK, "registry:image")
    assert preview.code == 0, preview.text
    assert f"{DOMAIN}: service {OTHER} of stack shop serves a part of it" in preview.text
    assert "The image registry:no-such-tag isn't on the engine, and can't be pulled" in preview.text


def test_an_engine_in_a_network_of_its_own_isnt_this_machine(site: SwarmUnderTest) -> None:
    for node in site.swarm.nodes:
        assert not is_this_machine(Engine(host=node.host), node.name)
