"""Images made of a layer, as `docker save` writes them."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from ops import engine
from ops.console import run
from ops.recipes import busybox


def archive_of(layer: Path, name: str, config: Mapping[str, object] | None = None) -> Path:
    """One layer, packed as the image `name`, beside it."""
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    about = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    image = layer.with_name("image.tar")
    with tarfile.open(image, "w") as tar:
        tar.add(layer, "layer.tar")
        for file, data in (
            ("config.json", about),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return image


def haproxy_image(folder: Path, name: str) -> Path:
    """HAProxy as this machine has it, with a shell and wget, where the official image has them."""
    program = engine.program("haproxy")
    libraries = re.findall(r"(/\S+) \(0x", run(["ldd", program]))
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w", dereference=True) as tar:
        tar.add(program, "usr/sbin/haproxy")
        for library in libraries:
            tar.add(library, library.lstrip("/"))
        tar.add(busybox(folder), "bin/busybox")
        for link in ("bin/sh", "bin/wget"):
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/bin/busybox"
            tar.addfile(entry)
    configuration = "/usr/local/etc/haproxy/haproxy.cfg"
    command = ["/usr/sbin/haproxy", "-W", "-db", "-f", configuration]
    return archive_of(layer, name, {"Entrypoint": command, "Env": ["PATH=/bin:/usr/sbin"]})
