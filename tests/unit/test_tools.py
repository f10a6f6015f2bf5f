"""The programs of the tools image, by their own tests."""

from __future__ import annotations

import subprocess

import pytest

from ops.bootstrap.go import BUILD_SECONDS, go_env
from ops.bootstrap.image_build import IMAGES
from testing.command import output_of
from testing.go_tests import NEEDS_GO

pytestmark = [NEEDS_GO, pytest.mark.timeout(BUILD_SECONDS)]


@pytest.mark.parametrize("command", ["vet", "test"])
def test_go_finds_nothing_wrong(command: str) -> None:
    args = ["go", command, "./tools/..."]
    output_of(args, cwd=IMAGES, env=go_env(), timeout=BUILD_SECONDS)


def test_the_programs_are_formatted() -> None:
    done = subprocess.run(
        ["gofmt", "-l", IMAGES / "tools"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
