"""Blocks of shell in the documentation that tests run, as a reader types them.

Such a block follows a comment that a reader doesn't see: `<!-- run -->`, or, where the last command
has to fail, `<!-- run: fails with "A PART OF ITS MESSAGE" -->`. A block of YAML that follows
`<!-- file: NAME -->` is in that file beforehand; of a stack's file it is a part of the settings.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_MARK = re.compile(r'^<!-- run(?:: fails with "(?P<error>[^"]+)")? -->$')
_FILE = re.compile(r"^<!-- file: (?P<name>\S+) -->\n```yaml\n(?P<text>.*?)^```$", re.M | re.S)
_SHELL = "```bash"


@dataclass(frozen=True)
class Block:
    """Commands that follow such a comment."""

    line: int
    """Of the comment, counted from 1."""
    commands: str
    error: str = ""
    """Text that the last command must fail with; empty where all commands must succeed."""


def blocks(document: Path) -> Iterator[Block]:
    """Yield the blocks that are run; `ValueError` for a comment that marks none."""
    lines = document.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if not line.startswith("<!-- run"):
            continue
        mark = _MARK.match(line)
        if mark is None or lines[number : number + 1] != [_SHELL]:
            raise ValueError(f"{document.name}, line {number}: no block to run")
        end = lines.index("```", number)
        yield Block(number, "\n".join(lines[number + 1 : end]), mark["error"] or "")


def files(document: Path) -> Mapping[str, str]:
    """Return the texts of the files that the commands of a document need, by name."""
    return {match["name"]: match["text"] for match in _FILE.finditer(document.read_text())}


def script(document: Path) -> str:
    """Return the document's blocks as one script for bash: what one exports, the next ones have."""
    parts = ["set -eu -o pipefail"]
    for block in blocks(document):
        position = f"{document.name}, line {block.line}"
        parts.append(f"echo {shlex.quote(f'== {position}')}")
        if not block.error:
            parts.append(block.commands)
            continue
        # Not as a condition: there, bash goes on after a command that fails.
        parts += [
            f"set +e; output=$(exec 2>&1; set -e\n{block.commands}\n); code=$?; set -e",
            'echo "$output"',
            f'[ "$code" != 0 ] || {{ echo {shlex.quote(f"{position}: it works")}; exit 1; }}',
            f'grep -qF {shlex.quote(block.error)} <<<"$output"',
        ]
    return "\n".join([*parts, ""])
