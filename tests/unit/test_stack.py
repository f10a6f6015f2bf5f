"""How often a command asks Pulumi for what it knows of a stack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from components.distribution.config import value_at
from ops import backend, checkpoint, config, inventory, resume, stack, summary
from ops.bootstrap import images
from ops.checkpoint import Checkpoint
from ops.config import Config
from ops.inventory import Inventory
from ops.outputs import StackOutputs
from ops.stack import Stack
from settings import parse

from .shared_python import printed_by_python

OUTPUTS = {"url": "https://registry.example.com", "mirrors": {}}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what Pulumi is asked for, of a stack in a file backend that is deployed and whole."""
    commands: list[str] = []

    def run(command: Sequence[str], **_: Any) -> str:
        commands.append(" ".join(command[1:3]))
        return json.dumps(OUTPUTS if command[2] == "output" else {})

    file = tmp_path / ".pulumi/stacks/registry/prod.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"checkpoint": {}}')
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    for module in (config, stack):
        monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(stack, "pulumi", lambda *args, **_: commands.append(args[0]))
    monkeypatch.setattr(stack, "prepare_machine", lambda: None)
    monkeypatch.setattr(checkpoint, "read", lambda _: Checkpoint({"deployment": {}}))
    monkeypatch.setattr(inventory, "take", lambda *_: Inventory())
    monkeypatch.setattr(summary, "wait_until_reachable", lambda _: None)
    monkeypatch.setattr(backend, "require_room", lambda: None)
    return commands


def test_a_deployment_asks_pulumi_once_for_settings_and_once_for_outputs(asked: list[str]) -> None:
    Stack("prod").deploy()
    assert asked == ["config --json", "up", "stack output"]


def test_outputs_of_before_a_deployment_are_not_taken_for_those_of_after(asked: list[str]) -> None:
    deployed = Stack("prod")
    assert deployed.outputs.url == OUTPUTS["url"]
    deployed.deploy()
    assert asked == ["stack output", "config --json", "up", "stack output"]


def test_a_stack_that_no_file_of_the_state_has_is_asked_for(asked: list[str]) -> None:
    Stack("prod").ensure()
    assert asked == []
    with pytest.raises(Exception, match=r"there is no Pulumi\.other\.yaml"):
        Stack("other").ensure()
    assert asked == ["stack ls"]


@pytest.mark.parametrize(
    ("name", "values", "builds"),
    [
        ("local", {"registry:auth": "token"}, True),
        ("local", {"registry:auth": "token", "registry:toolsImage": "ghcr.io/acme/t:1"}, False),
        ("local", {"registry:auth": "basic"}, False),
        ("local", {"registry:gc": '{"grace": "48h"}'}, True),
        ("local", {"registry:backup": '{"to": "volume:a"}'}, True),
        ("prod", {"registry:auth": "token"}, False),
    ],
)
def test_the_image_of_the_tools_is_built_where_this_machine_deploys_to_itself(
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    values: dict[str, str],
    builds: bool,
) -> None:
    read = Config(stack=name, values=values)
    monkeypatch.setattr(Config, "read", lambda *_, **__: read)
    monkeypatch.setattr(Stack, "ensure", lambda _: None)
    monkeypatch.setattr(summary, "print_login", lambda *_: None)
    monkeypatch.setattr(images, "ensure_tools", lambda: asked.append("tools"))
    (Stack(name).up if name == "local" else Stack(name).deploy)()
    Stack(name).deploy()
    assert asked.count("tools") == 2 * builds
    assert asked[0] == ("tools" if builds else "up")


def test_make_up_ends_with_how_to_log_in(capsys: pytest.CaptureFixture[str]) -> None:
    outputs = StackOutputs(url="http://localhost:8080", username="admin", password="hunter2")
    summary.print_login("local", outputs)
    shown = capsys.readouterr().out
    assert "  User          admin\n" in shown
    assert "  Log in        make login\n" in shown
    assert "  Push          docker tag IMAGE localhost:8080/IMAGE\n" in shown
    assert "hunter2" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_where_hashes_alone_are_known_docker_asks_for_the_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary.print_login("local", StackOutputs(url="http://localhost", has_tokens=True))
    shown = capsys.readouterr().out
    assert "  Log in        docker login localhost\n" in shown
    assert "None" not in shown


def test_commands_start_without_what_takes_long_to_import() -> None:
    # So `make up` costs little beside Pulumi, which works meanwhile where it is needed.
    slow = {"pulumi", "docker", "yaml", "settings.stack"}
    code = f"import sys, ops.commands; print({{*sys.modules}} & {slow})"
    assert printed_by_python(code) == "set()\n"


def test_names_are_read_of_the_configuration_without_what_takes_long_to_import() -> None:
    code = (
        "import sys; from ops.config import Config; from ops.resume import names;"
        " read = Config(stack='s', values={'registry:stackName': 's', 'registry:auth': 'token'});"
        " print(names(read).network, read.needs_tools_image, read.enforces_policies,"
        " read.passwords, {*sys.modules} & {'pulumi', 'docker', 'yaml', 'settings.stack'})"
    )
    assert printed_by_python(code) == "traefik-public True False {} set()\n"


def test_what_is_read_of_the_configuration_alone_is_as_in_the_settings() -> None:
    least = {"registry:stackName": "s", "registry:domain": "r.example.com"}
    more = {
        "registry:network": "other",
        "registry:policy": "mandatory",
        "registry:auth": "token",
        "registry:passwords": '{"admin": "a-Passw0rd-of-ours"}',
        "registry:config": '{"log": {"level": "warn"}}',
        "registry:https": "own",
        "docker:host": "ssh://me@dog",
    }
    for values in (least, least | more, least | {"registry:gc": '{"grace": "48h"}'}):
        read = Config(stack="test", values=values, secret_keys=frozenset({"registry:passwords"}))
        settings = parse(values, lambda key: key == "registry:passwords", "test")
        assert read.swarm_stack == settings.stack.name
        assert read.network == settings.network.name
        assert read.enforces_policies == (settings.policy == "mandatory")
        assert read.passwords == settings.login.passwords
        uses_tools = settings.token_server is not None or settings.gc is not None
        wanted = uses_tools and settings.tools_image is None
        assert read.needs_tools_image == wanted
        assert read.brings_certificate == (settings.routing.https == "own")
        assert read.log_level == value_at(settings.registry.config, "log.level")
        assert read.names_engine == bool(settings.engine.host)
        assert resume.names(read).stack == settings.stack.name
