"""What is done about a state and a swarm that don't agree, on states as Pulumi exports them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from components import backup as backups
from components import garbage_collection
from components.mirrors import service_of
from components.swarm import NAMESPACE
from ops import backend, checkpoint, inventory, job, resume
from ops.bootstrap import ROOT
from ops.bootstrap.console import UserError
from ops.checkpoint import Checkpoint
from ops.config import Config
from ops.inventory import Inventory, Item
from ops.resume import Differences, Names, compare
from ops.stack import Stack
from settings import parse

NAMES = Names(stack="images", network="images-net")
LABELS = {NAMESPACE: "images"}
URN = "urn:pulumi:test::registry::"


def resource(kind: str, name: str, id_: str, **more: Any) -> dict[str, Any]:
    """Return a resource of an exported state."""
    return {"urn": f"{URN}{kind}::{name}", "custom": True, "id": id_, "type": kind, **more}


SECRET = resource("docker:index/secret:Secret", "registry-config", "secret-1")
NETWORK = resource("docker:index/network:Network", "network-overlay", "network-1")
SERVICE = resource(
    "docker:index/service:Service",
    "registry-service",
    "service-1",
    inputs={"name": "images_registry"},
    dependencies=[SECRET["urn"], NETWORK["urn"]],
    propertyDependencies={"taskSpec": [SECRET["urn"], NETWORK["urn"]], "name": []},
)
LOCATION = resource(
    "pulumi:index:Stash",
    "registry-data-place",
    "stash-1",
    inputs={"input": {"volume": "v", "label": "images.registry-data", "nodeId": "n", "node": "d"}},
)


def state(*resources: dict[str, Any], pending: list[dict[str, Any]] | None = None) -> Checkpoint:
    deployment: dict[str, Any] = {"resources": list(resources)}
    if pending:
        deployment["pending_operations"] = pending
    return Checkpoint({"version": 3, "deployment": deployment})


def item(
    name: str,
    id_: str,
    labels: dict[str, str] | None = None,
    secrets: Sequence[str] = (),
    networks: Sequence[str] = (),
) -> Item:
    """Return a service, network or secret, by default with the label of the stack `images`."""
    return Item(
        id=id_,
        name=name,
        labels=LABELS if labels is None else labels,
        secrets=frozenset(secrets),
        networks=frozenset(networks),
    )


REGISTRY = item("images_registry", "service-1", secrets=["secret-1"], networks=["network-1"])
WHOLE = Inventory(
    cluster="c",
    services=(REGISTRY,),
    networks=(item("images-net", "network-1"),),
    secrets=(item("registry-config-1234567", "secret-1"),),
    volumes=frozenset({"v"}),
    node_labels=({"images.registry-data": "true"},),
)


AGREED = Differences(at_home=True)


def test_a_state_that_agrees_with_the_swarm_is_left_alone() -> None:
    assert compare(state(SECRET, NETWORK, SERVICE, LOCATION), WHOLE, NAMES) == AGREED


def test_a_service_that_uses_the_states_secrets_was_made_by_an_interrupted_run() -> None:
    difference = compare(state(SECRET, NETWORK), WHOLE, NAMES)
    assert difference.unrecorded == (REGISTRY,)
    assert not difference.foreign
    # Traefik may have no secret, and is on the state's network.
    proxy = item("images_proxy", "service-2", networks=["network-1"])
    there = Inventory(services=(REGISTRY, proxy), networks=WHOLE.networks, secrets=WHOLE.secrets)
    assert compare(state(SECRET, NETWORK, SERVICE), there, NAMES).unrecorded == (proxy,)


def test_a_network_with_the_stacks_label_and_no_service_was_made_by_an_interrupted_run() -> None:
    network = item("images-net", "network-2")
    there = Inventory(networks=(network, item("images_default", "network-3")))
    assert compare(state(), there, NAMES).unrecorded == (network,)
    by_hand = Inventory(networks=(item("images-net", "network-2", {}),))
    assert compare(state(), by_hand, NAMES) == Differences()


def test_what_another_state_made_is_not_taken() -> None:
    difference = compare(state(), WHOLE, NAMES)
    assert difference.foreign == (REGISTRY,)
    assert not difference.unrecorded
    other = Inventory(services=(item("other_registry", "s", {NAMESPACE: "other"}),))
    assert compare(state(), other, NAMES) == Differences()


def test_what_is_gone_leaves_the_state_with_all_that_refers_to_it() -> None:
    there = Inventory(services=WHOLE.services, networks=WHOLE.networks)
    known = state(SECRET, NETWORK, SERVICE, pending=[{"type": "deleting", "resource": SECRET}])
    difference = compare(known, there, NAMES)
    assert difference.missing == (SECRET,)
    assert not difference.other_swarm
    assert known.pending == {"deleting"}
    rest = known.without(difference.missing)
    assert not rest.pending
    (network, service) = rest.resources
    assert network == NETWORK
    assert service["dependencies"] == [NETWORK["urn"]]
    assert service["propertyDependencies"] == {"taskSpec": [NETWORK["urn"]], "name": []}


def test_of_two_of_one_name_the_one_that_is_there_stays() -> None:
    old = {**SECRET, "id": "secret-0", "delete": True}
    known = state(old, SECRET, NETWORK, SERVICE)
    difference = compare(known, WHOLE, NAMES)
    assert difference.missing == (old,)
    assert known.without(difference.missing).resources == [SECRET, NETWORK, SERVICE]


def stays(monkeypatch: pytest.MonkeyPatch, known: Checkpoint, there: Inventory) -> list[Checkpoint]:
    """Return what is written into the state of a stack with this state on this swarm."""
    written: list[Checkpoint] = []
    monkeypatch.setattr(checkpoint, "read", lambda _: known)
    monkeypatch.setattr(checkpoint, "write", lambda _, changed: written.append(changed))
    monkeypatch.setattr(Config, "read", lambda name: Config(stack=name, values={}))
    monkeypatch.setattr(inventory, "take", lambda *_, **__: there)
    monkeypatch.setattr(resume, "names", lambda _: NAMES)
    monkeypatch.setattr(backend, "wait_for_lock", lambda _: None)
    return written


ANEW = Inventory(cluster="other", volumes=frozenset({"v"}), node_labels=({},))


def test_another_swarm_is_refused_and_nothing_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    written = stays(monkeypatch, state(SECRET, NETWORK, SERVICE, LOCATION), ANEW)
    with pytest.raises(UserError, match="make recover STACK=prod"):
        resume.finish(Stack("prod"))
    with pytest.raises(UserError, match="make recover STACK=prod"):
        resume.finish_before_destroying(Stack("prod"))
    assert not written


def test_a_swarm_made_anew_on_the_machine_with_the_volume_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed = resource("random:index/randomBytes:RandomBytes", "login-seed", "seed")
    written = stays(monkeypatch, state(seed, SECRET, NETWORK, SERVICE, LOCATION), ANEW)
    assert resume.finish(Stack("local"), forget="at home") == resume.Rest()
    assert written[0].resources == [seed], "passwords stay what they are"


@pytest.mark.parametrize(
    "there",
    [
        Inventory(volumes=frozenset({"v"}), node_labels=({}, {})),
        Inventory(volumes=frozenset(), node_labels=({},)),
    ],
)
def test_where_the_volume_is_must_be_known_before_a_swarm_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, there: Inventory
) -> None:
    written = stays(monkeypatch, state(SECRET, SERVICE, LOCATION), there)
    with pytest.raises(UserError, match=r"--label-add images\.registry-data=true NODE"):
        resume.finish(Stack("prod"), forget="always")
    with pytest.raises(UserError, match="make recover STACK=local"):
        resume.finish(Stack("local"), forget="at home")
    assert not written


def test_a_swarm_is_known_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is remembered of the place stays; the next run is allowed to leave that swarm.
    location = {**LOCATION, "inputs": {"input": {**LOCATION["inputs"]["input"], "cluster": "c"}}}
    known = state(SECRET, NETWORK, SERVICE, location)
    assert not compare(known, WHOLE, NAMES).other_swarm
    emptied = Inventory(cluster="c", node_labels=WHOLE.node_labels)
    assert not compare(known, emptied, NAMES).other_swarm, "all was removed, and by nobody's state"
    written = stays(monkeypatch, known, ANEW)
    assert resume.finish(Stack("local"), forget="at home") == resume.Rest(swarm="c")
    assert written[0].resources == [location]
    # Interrupted right after that.
    assert compare(written[0], ANEW, NAMES).other_swarm


def test_a_stack_without_a_volume_forgets_nothing_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nothing tells a swarm that was made anew from one that DOCKER_HOST names by mistake.
    written = stays(monkeypatch, state(SECRET, SERVICE), ANEW)
    with pytest.raises(UserError, match="make recover STACK=local"):
        resume.finish(Stack("local"), forget="at home")
    assert not written
    assert resume.finish(Stack("local"), forget="always") == resume.Rest()
    assert written[0].resources == []


def test_after_an_update_that_never_ended_the_swarm_is_read_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pending = [{"type": "updating", "resource": SERVICE}]
    known = state(SECRET, NETWORK, SERVICE, pending=pending)
    written = stays(monkeypatch, known, WHOLE)
    assert resume.finish(Stack("prod")).flags == resume.REFRESH
    assert not written[0].pending
    assert written[0].resources == [SECRET, NETWORK, SERVICE]


def test_only_secrets_that_nobody_uses_or_knows_are_left_over() -> None:
    left = item("registry-config-abcdef0", "secret-0")
    secrets = (
        *WHOLE.secrets,
        left,
        item("registry-config-abcdef1", "used"),
        item("by-hand", "secret-2"),
        item("images_of-a-stack-file", "secret-4"),
        item("registry-config-abcdef2", "secret-3", {NAMESPACE: "other"}),
    )
    user = item("other_service", "s", {}, secrets=["used"])
    there = Inventory(services=(REGISTRY, user), secrets=secrets)
    assert compare(state(SECRET, NETWORK, SERVICE), there, NAMES).unused_secrets == (left,)


def test_a_removal_ends_the_jobs_beside_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    # They use its secrets, which could not be removed.
    begun = item("images_job-gc", "job-1", secrets=["secret-1"], networks=["network-1"])
    there, known = (
        replace(WHOLE, services=(REGISTRY, begun)),
        state(SECRET, NETWORK, SERVICE, LOCATION),
    )
    assert compare(known, there, NAMES) == replace(AGREED, jobs=(begun,))
    stays(monkeypatch, known, there)
    removed: list[object] = []

    def take(_: str, __: object, *remove: object) -> Inventory:
        removed.extend(remove)
        return there

    monkeypatch.setattr(inventory, "take", take)
    resume.finish_before_destroying(Stack("prod"))
    assert removed == [{"services": ["job-1"]}]


def test_a_deployment_removes_the_jobs_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    left = item("images_job-gc", "job-1", secrets=["secret-1"])
    there = replace(WHOLE, services=(REGISTRY, left))
    stays(monkeypatch, state(SECRET, NETWORK, SERVICE, LOCATION), there)
    ended: list[str] = []
    monkeypatch.setattr(inventory, "connected", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(job, "remove_ended", lambda _, services: ended.extend(services))
    assert resume.finish(Stack("prod")) == resume.Rest()
    assert ended == ["job-1"]


def test_the_network_is_called_as_the_settings_have_it_by_default() -> None:
    values = {"registry:stackName": "s", "registry:domain": "r.example.com"}
    settings = parse(values, lambda _: False, "test")
    assert resume.names(Config(stack="test", values=values)) == Names(
        stack="s", network=settings.network.name
    )


def test_all_services_of_the_program_are_known_by_name() -> None:
    sources = (ROOT / "components").rglob("*.py")
    text = "\n".join(path.read_text() for path in sources)
    called = set(re.findall(r'\n +service(?:=| = f)"([a-z_-]+)', text))
    assert called >= {"redis", "proxy", "socket_proxy", "token"}
    for name in called | {
        "registry",
        service_of("hub"),
        garbage_collection.SERVICE,
        backups.SERVICE,
    }:
        service = item(f"images_{name}", "id")
        assert NAMES.has_service(service), name
