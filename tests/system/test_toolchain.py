"""The toolchain runs whatever a Pulumi program in Python may be made of."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from testing.go_tests import NEEDS_GO
from testing.project import LIMIT_S, ROOT

PROGRAM = """
import pulumi
import pulumi_random as random
from counting import Counter

random.RandomPassword("password", length=20)
pulumi.export("count", Counter("counter", 3).count)
"""
DYNAMIC = """
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

class Provider(ResourceProvider):
    def create(self, props):
        return CreateResult("one", {"count": props["count"]})
    def diff(self, id, olds, news):
        return DiffResult(changes=olds["count"] != news["count"])
    def update(self, id, olds, news):
        return UpdateResult({"count": news["count"]})

class Counter(Resource, module="test", name="Counter"):
    count: pulumi.Output[int]
    def __init__(self, name, count):
        super().__init__(Provider(), name, {"count": count})
"""
POLICY = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def long_enough(args, report):
    if args.resource_type.endswith("RandomPassword") and args.props["length"] < 30:
        report("too short")

PolicyPack(
    name="passwords",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[ResourceValidationPolicy("length", "Long passwords.", long_enough)],
)
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Return a project with a dynamic provider and a policy pack, in this virtual environment."""
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "counting.py").write_text(DYNAMIC)
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy/PulumiPolicy.yaml").write_text(
        "runtime: {name: python, options: {virtualenv: ../.venv}}\nversion: 0.0.1\n"
    )
    (tmp_path / "policy/__main__.py").write_text(POLICY)
    (tmp_path / "state").mkdir()
    return tmp_path


def pulumi(scratch: Path, *args: str, fails: bool = False) -> str:
    """Return what `pulumi ARGS` prints; it must work, unless it `fails`."""
    done = subprocess.run(
        ["pulumi", *args, "--non-interactive", "--color", "never"],
        cwd=scratch,
        env={
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{scratch}/state",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert (done.returncode != 0) is fails, done.stdout
    return done.stdout


def test_a_program_goes_through_its_life(scratch: Path) -> None:
    pulumi(scratch, "stack", "init", "one")
    pulumi(scratch, "up", "--yes")
    assert pulumi(scratch, "stack", "output", "count").strip() == "3"
    pulumi(scratch, "preview", "--expect-no-changes")
    pulumi(scratch, "refresh", "--yes", "--expect-no-changes")
    kind = "random:index/randomPassword:RandomPassword"
    flags = ("--yes", "--protect=false", "--generate-code=false")
    pulumi(scratch, "import", *flags, kind, "found", "a-password-of-old")
    assert "found" in pulumi(scratch, "stack", "--show-urns")
    assert ".venv/bin/python" in pulumi(scratch, "about")
    pulumi(scratch, "destroy", "--yes")


def test_a_policy_pack_refuses_what_breaks_it(scratch: Path) -> None:
    pulumi(scratch, "stack", "init", "one")
    output = pulumi(scratch, "preview", "--policy-pack", "policy", fails=True)
    assert "[mandatory]  length" in output
    assert "too short" in output
    program = scratch / "__main__.py"
    program.write_text(program.read_text().replace("length=20", "length=40"))
    pulumi(scratch, "preview", "--policy-pack", "policy")


def test_a_program_that_fails_says_so_once(scratch: Path) -> None:
    pulumi(scratch, "stack", "init", "one")
    (scratch / "__main__.py").write_text("raise ValueError('broken')")
    output = pulumi(scratch, "preview", fails=True)
    assert "ValueError: broken" in output
    assert "non-zero exit code" not in output


@NEEDS_GO
def test_the_language_hosts_own_tests_pass() -> None:
    subprocess.run(
        ["go", "test", "./language"],
        cwd=ROOT / "toolchain/cli",
        env={**os.environ, "GOFLAGS": "-mod=readonly", "GONOSUMDB": "github.com/pulumi/*"},
        check=True,
        timeout=LIMIT_S,
    )
