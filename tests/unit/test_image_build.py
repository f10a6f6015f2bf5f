"""The images that the project builds: what each is made from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from components.version import VERSION
from ops.bootstrap import ROOT, image_build
from ops.bootstrap.console import UserError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of images/, which the recipes are in."""
    shutil.copytree(image_build.IMAGES, tmp_path / "images")
    (tmp_path / "components").mkdir()
    shutil.copy(ROOT / "components/version.py", tmp_path / "components")
    monkeypatch.setattr(image_build.recipe, "IMAGES", tmp_path / "images")
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("registry/image.json", {"registry"}),
        ("traefik/rootfs/entrypoint.sh", {"traefik"}),
        ("traefik/requirements.txt", {"traefik"}),
        ("go.sum", {"registry", "registry-tools"}),
        ("tools/token/main.go", {"registry-tools"}),
        ("tools/token/access_test.go", set()),
        ("tools/gc/collect.go", {"registry-tools"}),
        ("tools/registrytest/tree.go", set()),
        ("README.md", set()),
    ],
)
def test_a_change_makes_another_image_of_what_is_made_from_it(
    folder: Path, file: str, images: set[str]
) -> None:
    before = {recipe.name: image_build._key(recipe) for recipe in image_build.ALL}
    with (folder / file).open("a") as content:
        content.write("\n")
    after = {recipe.name: image_build._key(recipe) for recipe in image_build.ALL}
    assert {name for name in after if before[name] != after[name]} == images


def test_a_change_of_what_builds_them_makes_other_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(image_build.HERE, tmp_path / "copy")
    monkeypatch.setattr(image_build, "HERE", tmp_path / "copy")
    files = sorted((tmp_path / "copy").glob("*.py"))
    assert {"recipe.py", "programs.py", "archive.py"} <= {file.name for file in files}
    keys = {image_build._key(image_build.ALL[0])}
    for file in files:
        file.write_text(file.read_text() + "\n")
        keys.add(image_build._key(image_build.ALL[0]))
    assert len(keys) == 1 + len(files)


def test_the_tools_have_the_version_of_the_project(folder: Path) -> None:
    (tools,) = (recipe for recipe in image_build.ALL if recipe.name == "registry-tools")
    assert tools.image == f"registry-tools:{VERSION}"
    before = image_build._key(tools)
    (folder / "../components/version.py").write_text('VERSION = "9.9.9"\n')
    assert tools.image == "registry-tools:9.9.9"
    assert image_build._key(tools) != before


@pytest.mark.parametrize(
    ("name", "otherwise"),
    [
        ("registry", "where Docker Hub can't be reached: install Go"),
        ("registry-tools", "have registry:toolsImage name one that a registry has: docs/access.md"),
    ],
)
def test_without_go_it_says_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, otherwise: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    (recipe,) = (each for each in image_build.ALL if each.name == name)
    with pytest.raises(UserError, match=r"must be compiled.*install Go \d") as error:
        recipe.program(recipe, "./x", "amd64", tmp_path)
    assert otherwise in str(error.value)
