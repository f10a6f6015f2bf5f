"""The script that leaves half of the cores to others, in any shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from components.proxy import HALF_THE_CORES


@pytest.mark.parametrize(
    ("cores", "given", "limit"),
    [("1", "", "1"), ("2", "", "1"), ("3", "", "2"), ("8", "", "4"), ("8", "7", "7"), ("", "", "")],
)
def test_half_of_the_cores_are_rounded_up(
    cores: str, given: str, limit: str, tmp_path: Path
) -> None:
    """Also where the user says how many, and where the image has no `nproc`."""
    if cores:
        (tmp_path / "nproc").write_text(f"#!/bin/sh\necho {cores}\n")
        (tmp_path / "nproc").chmod(0o755)
    environment = [f"GOMAXPROCS={given}"] if given else []
    command = ["/usr/bin/env", *environment, "/bin/sh", "-c", "echo has:$GOMAXPROCS $0", "--flag"]
    done = subprocess.run(
        ["/bin/sh", "-c", HALF_THE_CORES, "half-the-cores", *command],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == f"has:{limit} --flag\n"
