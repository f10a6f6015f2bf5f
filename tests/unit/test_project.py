"""The project's papers and metadata say the same as its code."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from components.version import VERSION
from ops import OLDEST
from ops.bootstrap import ROOT
from ops.checks import STATIC

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(name: str) -> dict[str, str]:
    """Return the versions that requirements file `name` pins, by package."""
    versions = re.findall(r"^([\w-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in versions}


def test_the_newest_release_in_the_changelog_is_the_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1] == VERSION


def test_the_program_runs_on_versions_that_the_package_takes() -> None:
    # What only the policy pack needs is no dependency of the components.
    wanted = [Requirement(each) for each in PYPROJECT["project"]["dependencies"]]
    versions = pins("requirements.in")
    assert {canonicalize_name(each.name) for each in wanted} == set(versions) - {"pulumi-policy"}
    for each in wanted:
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), each


def test_what_requirements_in_pins_is_what_is_installed() -> None:
    for name in ("requirements", "requirements-dev"):
        assert pins(f"{name}.in").items() <= pins(f"{name}.txt").items(), "run make lock"


def test_the_oldest_python_is_the_same_everywhere() -> None:
    oldest = ".".join(map(str, OLDEST))
    assert PYPROJECT["project"]["requires-python"] == f">={oldest}"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    versions = [each.rpartition(" ")[2] for each in PYPROJECT["project"]["classifiers"]]
    assert next(each for each in versions if each.startswith("3.")) == oldest
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    assert workflow["jobs"]["check"]["strategy"]["matrix"]["python"] == [oldest, "3.x"]


def test_a_commit_is_checked_as_make_check_does() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in local["hooks"]] == [
        f".venv/bin/{shlex.join(command)}" for command in STATIC
    ]


def test_new_versions_of_the_deployed_images_are_found() -> None:
    (manager,) = json.loads((ROOT / "renovate.json").read_text())["customManagers"]
    (pattern,) = manager["matchStrings"]
    files = manager["managerFilePatterns"][0].strip("/")
    texts = [
        path.read_text()
        for path in ROOT.glob("*/**/*.py")
        if re.search(files, str(path.relative_to(ROOT)))
    ]
    images = {
        image for text in texts for image, _ in re.findall(pattern.replace("?<", "?P<"), text)
    }
    assert images == {"registry", "traefik", "haproxy", "redis"}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "images/README.md"])
def test_a_paper_names_only_what_is_there(name: str) -> None:
    paths = re.findall(r"`([\w.-]+/[\w./-]*)`", (ROOT / name).read_text())
    assert paths
    here = (ROOT / name).parent
    for path in paths:
        if "NAME" not in path:
            assert (ROOT / path).exists() or here.joinpath(path).exists(), path


def test_the_package_has_the_components_with_their_types_and_scripts(tmp_path: Path) -> None:
    # In a copy: setuptools leaves a folder behind.
    for part in ("pyproject.toml", "README.md", "LICENSE", "components"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tmp_path / part)
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run(
        [sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True, timeout=120
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"registry-{VERSION}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name for name in names if ".dist-info/" not in name}
    here = (ROOT / "components").rglob("*")
    files = [path for path in here if path.is_file() and path.suffix != ".pyc"]
    assert packed == {str(path.relative_to(ROOT)) for path in files}
    assert "components/py.typed" in packed
