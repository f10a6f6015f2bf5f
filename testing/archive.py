"""Images made of a layer, as `docker save` writes them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.bootstrap import ROOT, packages
from ops.bootstrap.console import run
from ops.bootstrap.image_build import busybox

REGISTRY_2 = """
version: 0.1
log: {fields: {service: registry}}
storage: {cache: {blobdescriptor: inmemory}, filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000", headers: {X-Content-Type-Options: [nosniff]}}
"""
"""Configuration in the official image of the registry 2.8."""


def archive_of(layer: Path, name: str, config: Mapping[str, object] | None = None) -> Path:
    """Pack one layer as the image `name`, beside it."""
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


def small_image(folder: Path) -> Path:
    """Pack an image of one small file as `hello:1`."""
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        entry = tarfile.TarInfo("hello")
        content = os.urandom(4096)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return archive_of(layer, "hello:1")


def haproxy_image(folder: Path, name: str) -> Path:
    """Pack HAProxy of this machine where the official image has it."""
    configuration = "/usr/local/etc/haproxy/haproxy.cfg"
    command = ["/usr/sbin/haproxy", "-W", "-db", "-f", configuration]
    return _image_of(folder, name, {"haproxy": "usr/sbin/haproxy"}, ["sh", "wget"], command)


def redis_image(folder: Path, name: str) -> Path:
    """Pack Redis of this machine where the official image has it."""
    programs = {
        "redis-server": "usr/local/bin/redis-server",
        "redis-cli": "usr/local/bin/redis-cli",
    }
    return _image_of(folder, name, programs, ["sh", "sed", "grep"], ["redis-server"])


def registry_2_image(folder: Path, name: str) -> Path:
    """Pack Debian's registry, which is 2.8, where the official image of that version has it."""
    configuration = "/etc/docker/registry/config.yml"
    return _image_of(
        folder,
        name,
        {"docker-registry": "bin/registry"},
        ["sh", "cat", "wget"],
        ["/entrypoint.sh"],
        cmd=[configuration],
        files={
            configuration: REGISTRY_2,
            "/entrypoint.sh": (ROOT / "images/registry/rootfs/entrypoint.sh").read_text(),
        },
    )


def _image_of(
    folder: Path,
    name: str,
    programs: Mapping[str, str],
    tools: list[str],
    command: list[str],
    *,
    cmd: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """Pack this machine's `programs` at their paths, their libraries, busybox, and `files`.

    `cmd` follows the `command` unless whoever runs the image has other arguments.
    """
    paths = {packages.program(program): path for program, path in programs.items()}
    listed = "".join(run(["ldd", program]) for program in paths)
    libraries = sorted(set(re.findall(r"(/\S+) \(0x", listed)))
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w", dereference=True) as tar:
        for program, path in paths.items():
            tar.add(program, path)
        for library in libraries:
            tar.add(library, library.lstrip("/"))
        tar.add(busybox(folder), "bin/busybox")
        for tool in tools:
            entry = tarfile.TarInfo(f"bin/{tool}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "/bin/busybox"
            tar.addfile(entry)
        for file, text in (files or {}).items():
            entry = tarfile.TarInfo(file.lstrip("/"))
            entry.size, entry.mode = len(text.encode()), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    path = "PATH=/bin:/usr/sbin:/usr/local/bin"
    return archive_of(layer, name, {"Entrypoint": command, "Cmd": [*cmd], "Env": [path]})
