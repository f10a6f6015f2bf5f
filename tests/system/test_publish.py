"""The project's own image, pushed for every architecture into a registry. No swarm is needed."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.version import VERSION
from ops.bootstrap import ROOT
from ops.bootstrap.console import wait
from testing.project import LIMIT_S
from testing.tools import tool
from tests.schema.programs import program

SOON_S = 60


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Return the address of a registry on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = tmp_path / "config.yml"
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "data")}}
    config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": address}}))
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [program("registry"), "serve", config], env=environment, stdout=log, stderr=log
        )

    def answers() -> bool:
        with contextlib.suppress(urllib.error.URLError):
            return bool(urllib.request.urlopen(f"http://{address}/v2/", timeout=5).status == 200)
        return False

    try:
        wait("the registry", answers, SOON_S)
        yield address
    finally:
        process.terminate()
        process.wait(SOON_S)


def test_the_image_is_pushed_for_every_architecture(registry: str) -> None:
    done = subprocess.run(
        ["make", "-s", "build", f"PUSH={registry}/acme"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    name, _, digest = done.stdout.strip().partition("@")
    assert name == f"{registry}/acme/registry-tools:{VERSION}"

    def crane(*args: str) -> str:
        done = subprocess.run(
            [tool("crane"), *args, "--insecure"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=SOON_S,
        )
        return done.stdout

    assert crane("digest", name).strip() == digest
    crane("validate", "--remote", name)
    index = json.loads(crane("manifest", name))
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    for entry in index["manifests"]:
        config = json.loads(crane("config", f"{name}@{entry['digest']}"))
        assert config["architecture"] == entry["platform"]["architecture"]
        assert config["config"]["Entrypoint"] == ["/bin/registry-token"]
    assert [each["platform"]["architecture"] for each in index["manifests"]] == ["amd64", "arm64"]
