"""What is installed is what was chosen: each package by its hash, Pulumi by its checksum."""

from __future__ import annotations

import hashlib
import http.server
import platform
import re
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ops.bootstrap import ROOT, toolchain, virtualenv
from ops.bootstrap.console import UserError

VERSION = "3.259.0"


def pins(name: str) -> dict[str, set[str]]:
    """Return the versions by package, as a file of requirements has them."""
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)(?:\[\w+\])?==([^\s;\\]+)", text(name), re.M):
        versions.setdefault(re.sub(r"[-_.]+", "-", package.lower()), set()).add(version)
    return versions


def text(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_every_package_has_one_version_and_its_hashes(name: str) -> None:
    chosen, locked = pins(f"{name}.in"), pins(f"{name}.txt")
    assert chosen
    assert {package: locked.get(package) for package in chosen} == chosen, "type: make lock"
    joined = text(f"{name}.txt").replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    assert all(re.search(r"==\S+.* --hash=sha256:[0-9a-f]{64}", line) for line in lines)


def test_development_has_the_versions_of_the_program() -> None:
    program, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {package: development.get(package) for package in program} == program


@pytest.mark.parametrize("package", ["cryptography", "grpcio", "pyyaml"])
def test_a_release_is_there_with_all_of_its_files(package: str) -> None:
    # Hashes of one machine's file alone would refuse every other machine.
    joined = text("requirements.txt").replace("\\\n", " ")
    (line,) = (line for line in joined.splitlines() if line.startswith(f"{package}=="))
    assert line.count("--hash=") > 20


def test_pip_is_told_to_take_nothing_without_a_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []

    def run(args: list[object], **_: object) -> None:
        commands.append(" ".join(map(str, args)))

    monkeypatch.setattr(virtualenv, "FOLDER", tmp_path)
    monkeypatch.setattr(virtualenv, "_is_sound", lambda: True)
    monkeypatch.setattr(virtualenv, "run", run)
    virtualenv.ensure()
    (command,) = commands
    assert " install --quiet --require-hashes -r " in command


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder that loopback offers as Pulumi's releases; no Pulumi is here yet."""
    folder = tmp_path / "releases"
    program = tmp_path / "made/pulumi/pulumi"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho released\n")
    program.chmod(0o755)
    name = f"pulumi-v{VERSION}-linux-x64.tar.gz"
    (folder / f"v{VERSION}").mkdir(parents=True)
    with tarfile.open(folder / name, "w:gz") as archive:
        archive.add(program.parent, "pulumi")
    checksum = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    sums = folder / f"v{VERSION}/pulumi-{VERSION}-checksums.txt"
    sums.write_text(f"{'0' * 64}  pulumi-v{VERSION}-darwin-arm64.tar.gz\n{checksum}  {name}\n")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(toolchain, "ARCHIVES", address)
        monkeypatch.setattr(toolchain, "CHECKSUMS", address)
        monkeypatch.setattr(toolchain, "locked_version", lambda *_: VERSION)
        monkeypatch.setattr(platform, "system", lambda: "Linux")
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        yield folder
        server.shutdown()


def test_a_release_with_its_checksum_is_installed(releases: Path, tmp_path: Path) -> None:
    assert releases
    assert toolchain._install(tmp_path / "pulumi")
    installed = tmp_path / "pulumi/bin/pulumi"
    assert installed.read_text().endswith("echo released\n")
    assert installed.stat().st_mode & 0o100


def test_a_release_of_another_content_is_refused(releases: Path, tmp_path: Path) -> None:
    (archive,) = releases.glob("*.tar.gz")
    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(UserError, match=r"its checksum isn't the one in .*Nothing was installed"):
        toolchain._install(tmp_path / "pulumi")
    assert not (tmp_path / "pulumi").exists()
    assert not list(tmp_path.glob("pulumi-*")), "nothing half is left"


@pytest.mark.parametrize("file", ["*.tar.gz", "v*/*.txt"])
def test_what_cant_be_checked_is_compiled(
    releases: Path, tmp_path: Path, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    next(releases.glob(file)).unlink()
    assert not toolchain._install(tmp_path / "pulumi")
    assert "compiling" in capsys.readouterr().err


def test_a_machine_without_a_release_compiles(
    releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert releases
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not toolchain._install(tmp_path / "pulumi")


def test_plugins_are_had_before_a_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(toolchain, "run", lambda args, **_: commands.append(args))
    toolchain.install_plugins()
    assert [args[4:] for args in commands] == [
        [name, toolchain.locked_version(f"pulumi-{name}")] for name in ("docker", "random")
    ]
