"""Which of Pulumi's operations runs a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from components.run.operation import is_partial_of, operation_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "operation"),
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
def test_the_command_line_tells_the_operation(line: str, operation: str | None) -> None:
    assert operation_of(line.split()) == operation


@pytest.mark.parametrize(
    ("line", "partial"),
    [
        ("pulumi up --target urn:x", True),
        ("pulumi up --yes --target=urn:x", True),
        ("pulumi up -t urn:x", True),
        ("pulumi up --target-replace urn:x", True),
        ("pulumi preview --exclude **data*", True),
        ("pulumi up --yes --stack target", False),
        ("pulumi up --target-dependents --exclude-dependents", False),
    ],
)
def test_a_run_that_leaves_resources_out_is_known(line: str, partial: bool) -> None:
    assert is_partial_of(line.split()) == partial


@pytest.mark.parametrize("word", ["up", "destroy"])
def test_it_is_seen_from_a_program_below_the_language_host(tmp_path: Path, word: str) -> None:
    # `pulumi` starts the language host, and that the program.
    program = (
        f"{sys.executable} -c 'from components.run.operation import operation; print(operation())'"
    )
    # `; true` keeps each shell from becoming the program itself.
    (tmp_path / "pulumi-language").write_text(f"{program}; true")
    script = f'exec -a pulumi bash -c "bash {tmp_path}/pulumi-language; true" pulumi {word} --yes'
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=30
    )
    assert done.stdout.strip() == word
