"""Pushes the project's own image into a registry, for every architecture: `make build PUSH=…`."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ops.bootstrap import image_build
from ops.bootstrap.console import UserError, run, say
from ops.bootstrap.go_tool import CLIENTS, CRANE, compiled

ARCHITECTURES = ("amd64", "arm64")
"""Of swarms' nodes, in Go's terms."""
PUSH_SECONDS = 600
_PREFIX = re.compile(r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_OCI = "application/vnd.oci.image"


def push(prefix: str) -> None:
    """Build the image, push it below `prefix`, as ghcr.io/acme, and print its name and digest.

    It uses docker's login: `docker login ghcr.io` beforehand. Raises UserError without Go.
    """
    if not _PREFIX.fullmatch(prefix):
        raise UserError(f"PUSH={prefix} is no registry with a path, such as ghcr.io/acme")
    for recipe in image_build.ALL:
        if recipe.is_official:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            layout = write_layout(recipe, Path(scratch))
            crane = compiled(CLIENTS, "crane", CRANE)
            say(f"pushing {prefix}/{recipe.image}")
            printed = run(
                [crane, "push", "--index", layout, f"{prefix}/{recipe.image}"],
                timeout=PUSH_SECONDS,
            )
            digest = printed.strip().rpartition("@")[2]
        print(f"{prefix}/{recipe.image}@{digest}")


def write_layout(recipe: image_build.Recipe, scratch: Path) -> Path:
    """Return a folder with the image for all architectures, as the OCI image layout has it.

    The same sources give the same bytes, and so the image's digest.
    """
    layout = scratch / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    manifests = [_write_manifest(layout, recipe, each, scratch) for each in ARCHITECTURES]
    index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": manifests}
    (layout / "index.json").write_text(json.dumps(index))
    return layout


def _write_manifest(
    layout: Path, recipe: image_build.Recipe, architecture: str, scratch: Path
) -> dict[str, Any]:
    folder = scratch / architecture
    folder.mkdir()
    layer, config = image_build.parts(recipe, architecture, folder)
    packed = folder / "layer.tar.gz"
    with (
        layer.open("rb") as content,
        packed.open("wb") as file,
        # Neither a time nor a name: they would be another digest each time.
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as archive,
    ):
        shutil.copyfileobj(content, archive)
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _write_blob(layout, f"{_OCI}.config.v1+json", config),
        "layers": [_write_blob(layout, f"{_OCI}.layer.v1.tar+gzip", packed.read_bytes())],
    }
    text = json.dumps(manifest).encode()
    platform = {"architecture": architecture, "os": "linux"}
    return {**_write_blob(layout, f"{_OCI}.manifest.v1+json", text), "platform": platform}


def _write_blob(layout: Path, media_type: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
