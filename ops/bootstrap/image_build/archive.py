"""The archive of an image: its only layer, its configuration, and the file for `docker load`."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import ssl
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from ops.bootstrap.console import UserError, run, say
from ops.bootstrap.image_build.programs import busybox
from ops.bootstrap.image_build.recipe import Recipe

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:\n",
    "etc/group": b"root:x:0:\nnobody:x:65534:\n",
}


def parts(recipe: Recipe, architecture: str, scratch: Path) -> tuple[Path, bytes]:
    """Return the image's only layer, a tar, and its configuration, JSON.

    The same sources give the same bytes, and so the image's digest.
    """
    programs = {
        path: recipe.program(recipe, source, architecture, scratch)
        for path, source in recipe.programs.items()
    }
    shell = busybox(scratch) if recipe.has_shell else None
    say(f"packing {recipe.image}")
    layer = scratch / "layer.tar"
    _write_layer(layer, recipe, programs, shell)
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": _config(recipe),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(layer)}"]},
    }
    return layer, json.dumps(config).encode()


def write_archive(recipe: Recipe, scratch: Path) -> Path:
    """Write the image for this machine as `docker save` would; return the file.

    Raises UserError where this machine's architecture or CA certificates aren't known.
    """
    layer, content = parts(recipe, _architecture(), scratch)
    layer_id = _sha256(layer)
    config_name = f"{hashlib.sha256(content).hexdigest()}.json"
    layer_name = f"{layer_id}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [recipe.image], "Layers": [layer_name]}]
    image = scratch / "image.tar"
    with tarfile.open(image, "w") as archive:
        _add(archive, config_name, content)
        _add(archive, layer_name, layer)
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    return image


def _config(recipe: Recipe) -> Mapping[str, object]:
    config = json.loads((recipe.folder / "image.json").read_text())
    description = f"built from images/{recipe.folder_name}"
    if recipe.is_official:
        description += ", not official"
    labels = {
        "org.opencontainers.image.version": recipe.version,
        "org.opencontainers.image.description": description,
    }
    return {**config, "Env": [SEARCH_PATH, *config.get("Env", [])], "Labels": labels}


def _write_layer(
    layer: Path, recipe: Recipe, programs: Mapping[str, Path], shell: Path | None
) -> None:
    rootfs = recipe.folder / "rootfs"
    files: dict[str, Path | bytes] = {
        **{str(path.relative_to(rootfs)): path for path in rootfs.rglob("*") if path.is_file()},
        **ACCOUNTS,
        "etc/ssl/certs/ca-certificates.crt": _ca_certificates(),
        **programs,
    }
    links: set[str] = set()
    if shell:
        files["bin/busybox"] = shell
        links = set(run([shell, "--list-full"]).split()) - files.keys()
    folders = {str(parent) for path in [*files, *links] for parent in Path(path).parents}
    with tarfile.open(layer, "w") as archive:
        for folder in sorted(folders - {"."} | {"root", "tmp", "var", "var/run"}):
            _add_entry(archive, folder, tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755)
        for file, content in sorted(files.items()):
            executable = "bin/" in file or file.endswith(".sh")
            _add(archive, file, content, 0o755 if executable else 0o644)
        for link in sorted(links):
            _add_entry(archive, link, tarfile.SYMTYPE, 0o777, "/bin/busybox")


# An entry's owner (root) and time (1970) are what TarInfo starts with: nothing of this machine.


def _add(archive: tarfile.TarFile, name: str, content: Path | bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    with BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        entry.size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        archive.addfile(entry, stream)


def _add_entry(archive: tarfile.TarFile, name: str, kind: bytes, mode: int, link: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, link
    archive.addfile(entry)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _architecture() -> str:
    """Return this machine's architecture, in Go's and Docker's terms."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise UserError(f"images for {machine} can't be built here, only pulled")
    return ARCHITECTURES[machine]


def _ca_certificates() -> Path:
    """Return the file of CAs that this machine trusts, a company's own CA among them."""
    named = [os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile]
    for name in [*named, "/etc/ssl/certs/ca-certificates.crt"]:
        if name and Path(name).is_file():
            return Path(name)
    raise UserError("no CA certificates found: install the package ca-certificates")
