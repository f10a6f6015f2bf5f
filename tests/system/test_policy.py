"""The policy pack, run by the real CLI: what breaks it is refused, the real stacks pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from testing.project import LIMIT_S, ROOT
from testing.site import SwarmUnderTest

DIGEST = "@sha256:" + "0" * 64
# Each breaks the policy of its name; together they are one program.
PROGRAMS = {
    "no-plain-secrets": 'service("a", env={"DB_PASSWORD": "hunter2"})',
    "no-secret-configs": (
        'docker.ServiceConfig("b", data=base64.b64encode(b"-----BEGIN PRIVATE KEY-----").decode())'
    ),
    "stateful-services-pinned": (
        'service("c", mounts=[docker.ServiceTaskSpecContainerSpecMountArgs('
        'type="volume", source="data", target="/data")])'
    ),
    "memory-limited": 'service("d", memory=None)',
    "images-by-digest": 'service("e", image="registry:3.1.2")',
    "no-latest": f'service("f", image="registry:latest{DIGEST}")',
    "updates-can-be-undone": 'service("g", update=None)',
    "logs-rotated": 'service("h", log=None)',
    "ports-on-the-proxy-only": (
        'service("i", endpoint=docker.ServiceEndpointSpecArgs(ports=['
        'docker.ServiceEndpointSpecPortArgs(target_port=80, publish_mode="host")]))'
    ),
    "socket-for-the-proxy-only": (
        'service("j", mounts=[docker.ServiceTaskSpecContainerSpecMountArgs('
        'type="bind", source="/var/run/docker.sock", target="/s", read_only=True)])'
    ),
}
UNKNOWN = """
network = docker.Network("n", driver="overlay")
pin = pulumi.Output.concat("node.labels.", network.id, " == true")
service("k", constraints=[pin], mounts=[docker.ServiceTaskSpecContainerSpecMountArgs(
    type="volume", source="data", target="/data")])
"""
SERVICE = Path(__file__).with_name("policy_program.py").read_text()
"""The beginning of each program here; a file, so that it is checked as the rest is."""


def preview(folder: Path, host: str, *flags: str) -> tuple[int, str]:
    """Return code and text of a preview of the program in `folder` under the policy pack."""
    done = subprocess.run(
        [
            *("pulumi", "preview", "--non-interactive", "--color", "never", "--stack", "test"),
            *("--policy-pack", "policy", *flags),
        ],
        cwd=folder,
        env=variables(folder, host),
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    return done.returncode, done.stdout + done.stderr


def variables(folder: Path, host: str) -> dict[str, str]:
    return {
        **os.environ,
        "PULUMI_BACKEND_URL": f"file://{folder}/state",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "DOCKER_HOST": host,
    }


@pytest.fixture(scope="module")
def broken(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a project whose program breaks each policy once, and the engine."""
    folder = tmp_path_factory.mktemp("broken")
    for name in ("Pulumi.yaml", "policy", "components"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "state").mkdir()
    (folder / "__main__.py").write_text("\n".join([SERVICE, *PROGRAMS.values(), UNKNOWN]))
    host = site.swarm.nodes[0].host
    subprocess.run(
        ["pulumi", "stack", "init", "test"],
        cwd=folder,
        env=variables(folder, host),
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )
    return folder, host


@pytest.fixture(scope="module")
def refusal(broken: tuple[Path, str]) -> str:
    """Return what a preview prints of that program when the policies are mandatory."""
    code, text = preview(*broken, "--policy-pack-config", "policy/mandatory.json")
    assert code != 0
    assert "Traceback" not in text
    return text


def test_the_programs_break_every_policy_that_there_is() -> None:
    text = (ROOT / "policy/__main__.py").read_text()
    named = {name.replace("_", "-") for name in re.findall(r"^    rules\.(\w+):", text, re.M)}
    assert named == set(PROGRAMS)


@pytest.mark.parametrize("policy", PROGRAMS)
def test_a_program_that_breaks_the_policy_is_refused(refusal: str, policy: str) -> None:
    resource = {program: name for name, program in zip("abcdefghij", PROGRAMS, strict=True)}[policy]
    assert re.search(rf"\[mandatory\]\s+{policy}\s+\(docker:index:\w+: {resource}\)", refusal)


def test_nothing_else_is_refused(refusal: str) -> None:
    violations = re.findall(r"\[mandatory\]\s+(\S+)\s+\(docker:index:\w+: (\w+)\)", refusal)
    assert sorted(set(violations)) == sorted(zip(PROGRAMS, "abcdefghij", strict=True))
    assert "hunter2" not in refusal.replace('"hunter2"', "")


def test_a_pin_that_isnt_known_yet_is_not_called_missing(refusal: str) -> None:
    assert "can't run policy 'stateful-services-pinned'" in refusal
    assert "constraints.0 can't be known during preview" in refusal


def test_advice_stops_nobody(broken: tuple[Path, str]) -> None:
    code, text = preview(*broken)
    assert code == 0
    assert "[advisory]" in text
    assert "[mandatory]" not in text


@pytest.mark.parametrize("stack", ["prod", "stag"])
def test_the_front_door_asks_for_what_the_stack_says(site: SwarmUnderTest, stack: str) -> None:
    # Without a digest, production is refused, and staging warned.
    name = f"strict-{stack}"
    new = site.project.folder / f"Pulumi.{name}.yaml"
    new.write_text(
        (ROOT / f"Pulumi.{stack}.yaml").read_text().replace("registry-com", f"strict-{stack}")
    )
    if stack == "stag":
        with new.open("a") as file:
            file.write("  registry:createNetwork: true\n")
    result = site.make("preview", f"STACK={name}")
    assert ("[mandatory]  images-by-digest" in result.text) is (stack == "prod")
    assert ("[advisory]  images-by-digest" in result.text) is (stack == "stag")
    assert (result.code != 0) is (stack == "prod")


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("stack", ["prod", "stag", "local"])
def test_the_real_stacks_pass(site: SwarmUnderTest, stack: str) -> None:
    # In a preview of what isn't there yet, and of what is.
    mandatory = ("--policy-pack", "policy", "--policy-pack-config", "policy/mandatory.json")
    settings = {"registry:https": "none", "registry:policy": "mandatory"}
    site.project.init(stack, settings)
    if stack == "stag":
        site.project.set(stack, "registry:createNetwork", "true")
        site.project.set(stack, "registry:network", "stag")
    for act in (("preview",), ("up", "--yes", "--skip-preview"), ("preview",)):
        text = site.project.ok(*act, "--stack", stack, *mandatory)
        assert "[mandatory]" not in text
        assert "registry@v0.1.0" in text, "the pack ran"
    site.project.remove(stack)
