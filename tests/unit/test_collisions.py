"""Names and hosts in Traefik that another stack has already."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.errors import CombinedError, DeploymentError, HostTakenError, NameTakenError
from components.swarm import NAMESPACE
from components.swarm.collisions import collisions
from components.swarm.inspect import RunningService
from components.swarm.preflight import Routed, check_collisions
from components.traefik.route import Https, Route
from settings.remedies import explain

from .conftest import node, refused, swarm

CONSTRAINT = ("traefik.constraint-label", "traefik-public")
ROUTE = Route(
    domain="registry.example.com",
    tag="registry.com",
    network="traefik-public",
    constraint_label=CONSTRAINT[0],
    constraint_value=CONSTRAINT[1],
    https=Https(),
)
OURS = Routed("ours_registry", ROUTE.labels(5000), "registry:domain")


def service(
    labels: dict[str, str], stack: str = "shop", name: str = "", volume: str = ""
) -> RunningService:
    return RunningService(
        name=name or f"{stack}_registry",
        labels={NAMESPACE: stack, **labels},
        volumes=frozenset([volume]),
    )


def labelled(rule: str, **options: str) -> dict[str, str]:
    """Return the labels of a router `web` with that rule, seen by our Traefik."""
    router = {"rule": rule, **options}
    labels = {f"traefik.http.routers.web.{key}": value for key, value in router.items()}
    return {"traefik.enable": "true", CONSTRAINT[0]: CONSTRAINT[1], **labels}


def check(*services: RunningService, routed: Routed = OURS) -> list[str]:
    """Return the warnings as the program shows them."""
    there = swarm(node("dog"))
    warnings = check_collisions(
        replace(there, services={each.name: each for each in services}),
        [routed],
        stack_name="ours",
        volumes=frozenset(["ours_registry-data"]),
        constraint=CONSTRAINT,
        redirect="https-redirect",
    )
    return [explain(each, "prod") for each in warnings]


def test_one_name_in_another_form_is_refused() -> None:
    # A dot and a hyphen are the same in a label.
    other = replace(ROUTE, domain="other.example.com", tag="registry-com")
    text = "services of the name registry-com from service shop_registry of stack shop"
    command = r"pulumi config set --stack prod registry:traefikTag NAME"
    with refused(CombinedError, rf"{text}.*\n +{command}"):
        check(service(other.labels(5000)))


@pytest.mark.parametrize(
    "rule",
    [
        "Host(`registry.example.com`)",
        "host(`Registry.Example.com`)",
        "Host(`a.example.com`, `registry.example.com`)",
        "Host(`a.example.com`) || Host(`registry.example.com`)",
    ],
)
def test_a_host_that_leads_elsewhere_is_refused(rule: str) -> None:
    text = "registry.example.com leads to service shop_registry of stack shop already"
    command = "pulumi config set --stack prod registry:domain NAME"
    with refused(HostTakenError, rf"{text}.*\n +{command}"):
        check(service(labelled(rule)))


@pytest.mark.parametrize(
    "rule",
    [
        "Host(`registry.example.com`) && PathPrefix(`/ui`)",
        "PathPrefix(`/ui`) && (Host(`registry.example.com`) || Host(`a.b`))",
    ],
)
def test_a_part_of_a_host_is_a_warning(rule: str) -> None:
    (warning,) = check(service(labelled(rule)))
    assert warning.startswith("registry.example.com: service shop_registry of stack shop serves a")


@pytest.mark.parametrize(
    "labels",
    [
        labelled("Host(`other.example.com`)"),
        labelled("HostRegexp(`^.+$`)"),
        labelled("HostSNI(`registry.example.com`)"),
        labelled("Host(`registry.example.com`)", entrypoints="intern"),
        labelled("Host(`registry.example.com`)") | {"traefik.enable": "false"},
        labelled("Host(`registry.example.com`)") | {CONSTRAINT[0]: "another-traefik"},
        {"traefik.http.middlewares.https-redirect.redirectscheme.scheme": "https"},
    ],
)
def test_what_doesnt_meet_is_let_be(labels: dict[str, str]) -> None:
    assert check(service(labels)) == []


def test_a_middleware_is_shared_as_long_as_it_is_the_same() -> None:
    routed = replace(OURS, labels=Https().redirect_labels(443))
    same = labelled("Host(`x.example.com`)") | Https().redirect_labels(443)
    assert check(service(same), routed=routed) == []
    other = labelled("Host(`x.example.com`)") | Https().redirect_labels(8443)
    with refused(NameTakenError, "registry:redirectMiddleware NAME"):
        check(service(other), routed=routed)


def test_what_is_this_stacks_own_is_fine_under_a_former_name_too() -> None:
    labels = ROUTE.labels(5000)
    assert check(service(labels, "ours")) == []
    former = service(labels, "before", volume="ours_registry-data")
    proxy = service(labels, "before", name="before_proxy")
    assert check(former, proxy) == []


def test_what_is_deployed_with_it_already_is_a_warning() -> None:
    # Else nothing of the stack could be changed until somebody else has mended it.
    other = service(labelled("Host(`registry.example.com`)"))
    (warning,) = check(other, service(ROUTE.labels(5000), "ours"))
    assert "leads to service shop_registry" in warning


def test_each_kind_is_found_once() -> None:
    other = service(replace(ROUTE, domain="other.example.com").labels(5000))
    pairs = {(one.kind, one.name) for one in collisions(OURS.labels, CONSTRAINT, [other])}
    assert pairs == {
        ("routers", "registry-com-http"),
        ("routers", "registry-com-https"),
        ("services", "registry-com"),
    }


def test_a_name_may_be_shared_where_paths_keep_the_two_apart() -> None:
    ours = replace(ROUTE, path="/v2/")
    routed = Routed("ours_registry", ours.labels(5000), "registry:domain")
    (warning,) = check(service(labelled(ROUTE.rule)), routed=routed)
    assert "serves a part of it" in warning
    with refused(DeploymentError, "leads to service shop_registry"):
        check(service(labelled(ROUTE.rule)))
    with refused(DeploymentError, "leads to service shop_registry"):
        check(service(labelled(f"{ROUTE.rule} || Host(`b.example.com`)")))
    with refused(DeploymentError, "leads to service shop_registry"):
        check(service(labelled(ours.rule)), routed=routed)
