"""The project's own image for several architectures: what is pushed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ops.bootstrap import image_build, publish
from ops.bootstrap.console import UserError


def _stand_in(_: image_build.Recipe, source: str, architecture: str, scratch: Path) -> Path:
    program = scratch / "program"
    program.write_text(f"{source} for {architecture}")
    return program


@pytest.fixture
def recipe() -> image_build.Recipe:
    """Return the recipe of the tools, whose programs take no time to compile."""
    (tools,) = (recipe for recipe in image_build.ALL if not recipe.is_official)
    return replace(tools, program=_stand_in)


def test_the_same_sources_give_the_same_image(recipe: image_build.Recipe, tmp_path: Path) -> None:
    def layout(name: str) -> dict[str, bytes]:
        folder = publish.write_layout(recipe, tmp_path / name)
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    first = layout("first")
    assert first == layout("second")
    for file, content in first.items():
        if file.startswith("blobs/"):
            assert Path(file).name == hashlib.sha256(content).hexdigest()
    manifests = json.loads(first["index.json"])["manifests"]
    assert len({each["digest"] for each in manifests}) == len(publish.ARCHITECTURES)


@pytest.mark.parametrize(
    "prefix",
    ["Ghcr.io/acme", "https://ghcr.io/acme", "ghcr.io/acme/", "ghcr.io/acme:1", "-a", "a b"],
)
def test_what_is_no_registry_is_refused(prefix: str) -> None:
    with pytest.raises(UserError, match="is no registry with a path, such as ghcr"):
        publish.push(prefix)
