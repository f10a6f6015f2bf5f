"""The components' errors: facts alone, to which the settings add what to type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from components import errors
from components.errors import DeploymentError
from components.swarm import engine_errors
from components.swarm.engine_errors import EndpointError
from components.swarm.location import CERTIFICATES, IMAGES, Volume, described
from ops.bootstrap import ROOT
from settings.remedies import explain
from settings.way_back import PREFIXES

from .conftest import node

DOG, CAT = node("dog"), node("cat")
OLD, NEW = (
    Volume(name="data", node_id=f"{each}-id", node=each, label="s.data").remembered("cluster")
    for each in ("dog", "cat")
)
MOVE: dict[str, Any] = {
    "old": OLD,
    "new": NEW,
    "old_text": described(OLD),
    "new_text": described(NEW),
}
HOST = "unix:///docker.sock"
UNREACHABLE = engine_errors.EngineUnreachableError(host=HOST, reason="gone")
CASES: list[DeploymentError | EndpointError] = [
    EndpointError("type:\n      docker context use NAME"),
    UNREACHABLE,
    engine_errors.EngineTlsError(host="tcp://dog:2376", reason="its name", is_wrong_name=True),
    engine_errors.NotAManagerError(host=HOST, managers=["10.0.0.1:2377"]),
    engine_errors.SwarmUnavailableError(host=HOST, reason="is none:\n      docker swarm init"),
    errors.EngineError(UNREACHABLE),
    errors.EngineNotChosenError(EndpointError("type:\n      docker context use NAME")),
    errors.NetworkMissingError(network="net"),
    errors.NetworkMissingError(network="net", index=1),
    errors.NotAnOverlayError(network="net", driver="bridge", scope="local"),
    errors.NotAnOverlayError(network="net", driver="bridge", scope="local", index=1),
    errors.NetworkNotEncryptedError(network="net"),
    errors.NetworkNotEncryptedError(network="s_redis", service="redis"),
    errors.NetworkNotEncryptedError(network="s_socket_proxy", service="socket_proxy"),
    errors.NoNodeError(subject="s_registry", obstacles={"dog": "is down"}, constraints=["a == b"]),
    errors.NoNodeError(subject="Traefik", obstacles={}, kind="manager"),
    errors.NodeUnknownError(role=IMAGES, wanted="cow", matches=0, nodes=[DOG]),
    errors.NodeNotNamedError(role=IMAGES, nodes=[DOG, CAT]),
    errors.NodeGoneError(role=IMAGES, node="dog", node_id="dog-id"),
    errors.DataElsewhereError(role=IMAGES, wanted="cat", label="s.data", holder=DOG),
    errors.LabelAmbiguousError(role=IMAGES, label="s.data", nodes=[DOG, CAT]),
    errors.LabelMovedError(role=CERTIFICATES, label="s.data", holder=DOG, home=CAT),
    errors.MoveCutOffError(role=IMAGES, old=DOG, new=CAT),
    errors.LabelValueError(label="s.data", value="yes", node=DOG),
    errors.VolumeWouldMoveError(role=IMAGES, **MOVE),
    errors.VolumeReusedError(role=IMAGES, **MOVE),
    errors.DataLeftBehindError(role=IMAGES, **MOVE),
    errors.MoveUndoneError(role=IMAGES, **MOVE, is_label_back=True),
    errors.AnotherSwarmError(before="before", cluster="cluster", host=HOST),
    errors.HostTakenError(owner="service a", host="r.example.com", setting="registry:domain"),
    errors.NameTakenError(owner="service a", kind="routers", name="a", is_redirect=False),
    errors.PortTakenError(owner="nginx", port=80, node="dog", setting="proxyHttpPort"),
    errors.AlreadyThereError(kind="network", name="net", is_public_network=True),
    errors.ImageMissingError(image="a:1", reason="unknown", setting="image"),
    errors.ImageNotBuiltError(image="a:1", setting="toolsImage", host="unix:///docker.sock"),
    errors.ImageNotBuiltError(image="a:1", setting="toolsImage", host="ssh://me@dog"),
    errors.ImageNotSharedError(image="a:1", nodes=3, setting="toolsImage"),
    errors.PartialUpgradeError(),
    errors.CombinedError(errors=[errors.NetworkMissingError(network="net")]),
]
"""An error of each kind, and of each form of its text."""
NOTHING_TO_TYPE = {
    "EngineRefusedError": "the engine's own words, whatever they are",
    "NodeUnavailableError": "its reason has what to do, which depends on the node",
    "HostSharedError": "a warning: the two may be meant to share the host",
    "LittleSpaceError": "a warning: what may be deleted is for people to say",
    "SecretTooLargeError": "what is in it is for people to shorten",
    "StateUnreadableError": "Pulumi's own words",
    "RolloutFailedError": "its text is made with what to type, see `RolloutArgs.advise`",
}
"""Errors without a command, and why."""


def concrete() -> Iterator[str]:
    """Yield the names of all errors that are raised, rather than being a kind of them."""
    for module in (errors, engine_errors):
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, DeploymentError | EndpointError) and "__str__" in {
                attribute for each in kind.__mro__[:-3] for attribute in vars(each)
            }:
                yield name


@pytest.mark.parametrize("error", CASES, ids=lambda error: type(error).__name__)
def test_each_error_says_what_to_type(error: DeploymentError | EndpointError) -> None:
    text = explain(error, "prod")
    assert re.search(r"^ {6}(pulumi|docker|make) |: pulumi config", text, re.MULTILINE), text
    for command in re.findall(r"pulumi (?:config (?:set|rm)|up).*", text):
        assert "--stack prod" in command
    assert "pulumi config" not in str(error)


def test_no_error_is_forgotten() -> None:
    shown = {type(error).__name__ for error in CASES} | NOTHING_TO_TYPE.keys()
    assert set(concrete()) <= shown


def test_errors_end_a_program_with_their_text_alone() -> None:
    kinds = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    assert kinds
    assert all(issubclass(each, pulumi.RunError) for each in kinds)


def test_the_tree_of_errors_is_that_of_the_classes() -> None:
    names = re.findall(r"^ {4,}(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    kinds = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    assert set(names) == kinds - {"DataLocationError"}


def test_no_component_knows_a_setting_of_this_program() -> None:
    for file in ROOT.glob("components/**/*.py"):
        text = re.sub(r"registry:index:|registry:\d", "", file.read_text())
        assert not re.search(r"\bregistry:[a-z{]|pulumi config|make [a-z]+ STACK", text), file


def test_each_role_has_its_settings() -> None:
    assert len(set(PREFIXES.values())) == len(PREFIXES) == 3
