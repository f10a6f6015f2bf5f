"""Which of Pulumi's operations runs a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from components.operation import operation_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("pulumi up --yes --refresh", "up"),
        ("/opt/pulumi/bin/pulumi update --stack destroy", "up"),
        ("pulumi -C folder destroy --yes --stack up", "destroy"),
        ("pulumi --non-interactive down", "destroy"),
        ("pulumi preview --refresh", "preview"),
        ("pulumi refresh --yes", "refresh"),
        ("pulumi-language-python destroy", None),
        ("make destroy", None),
        ("", None),
    ],
)
def test_the_command_line_tells_the_operation(line: str, found: str | None) -> None:
    assert operation_of(line.split()) == found


@pytest.mark.parametrize("word", ["up", "destroy"])
def test_it_is_seen_from_a_program_below_the_language_host(tmp_path: Path, word: str) -> None:
    """`pulumi` starts the language host, and that the program."""
    program = (
        f"{sys.executable} -c 'from components.operation import operation; print(operation())'"
    )
    # `; true` keeps each shell from becoming the program itself.
    (tmp_path / "pulumi-language").write_text(f"{program}; true")
    script = f'exec -a pulumi bash -c "bash {tmp_path}/pulumi-language; true" pulumi {word} --yes'
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=30
    )
    assert done.stdout.strip() == word
