"""The repository as a package: what other programs, and other languages, get of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testing.project import ROOT

BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "components", "package")
LIMIT_S = 300
"""Time limit of an installation, seconds; Pulumi's makes a new virtual environment."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy what the package is built from: a build leaves files beside its sources."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".venv")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder)
    return folder


def test_the_example_is_typed_against_what_pip_installs(checkout: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, "--target", installed, checkout],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert (installed / "components/py.typed").exists()
    assert (installed / "components/files/graceful-stop.sh").exists()
    # Elsewhere, so that mypy finds no `components` but the installed ones.
    example = shutil.copytree(ROOT / "docs/example", tmp_path / "example")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "."],
        cwd=example,  # mypy's cache is left there, too.
        env={**os.environ, "MYPYPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert checked.returncode == 0, checked.stdout


def test_pulumi_makes_a_schema_of_the_component_package(checkout: Path) -> None:
    # In a virtual environment of the package's own, which Pulumi makes.
    done = subprocess.run(
        ["pulumi", "package", "get-schema", "./package"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    schema = json.loads(done.stdout)
    component = schema["resources"]["swarm-registry:index:PrivateRegistry"]
    assert component["isComponent"]
    assert component["requiredInputs"] == ["domain", "node"]
    described = {**component["inputProperties"], **component["properties"]}
    assert all(each["description"] for each in described.values())
