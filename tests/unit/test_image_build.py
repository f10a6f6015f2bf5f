"""The images that the project builds: what each is made from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ops.bootstrap import image_build


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of images/, which the recipes are in."""
    shutil.copytree(image_build.IMAGES, tmp_path / "images")
    monkeypatch.setattr(image_build, "IMAGES", tmp_path / "images")
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("registry/image.json", {"registry"}),
        ("traefik/rootfs/entrypoint.sh", {"traefik"}),
        ("traefik/requirements.txt", {"traefik"}),
        ("go.sum", {"registry"}),
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
