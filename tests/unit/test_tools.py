"""The programs of the tools image, by their own tests."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ops.bootstrap.image_build import BUILD_SECONDS, IMAGES

GO = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}

pytestmark = [
    pytest.mark.skipif(
        not shutil.which("go") and not os.environ.get("CI"), reason="the programs are in Go"
    ),
    pytest.mark.timeout(BUILD_SECONDS),
]


@pytest.mark.parametrize("command", ["vet", "test"])
def test_go_finds_nothing_wrong(command: str) -> None:
    done = subprocess.run(
        ["go", command, "./tools/..."],
        cwd=IMAGES,
        env={**os.environ, **GO},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stdout


def test_the_programs_are_formatted() -> None:
    done = subprocess.run(
        ["gofmt", "-l", IMAGES / "tools"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
