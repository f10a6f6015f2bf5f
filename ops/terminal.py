"""A picture of what a command prints on a terminal, for the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

COLUMN, ROW, MARGIN = 8.4, 20, 16
"""Width of a character, height of a line, and space around them, in pixels."""
COLUMNS = 80
BACKGROUND, TEXT = "#1e1e1e", "#d4d4d4"
COLORS = {
    "ok": "#6cc070",
    "off": "#8a8a8a",
    "warning": "#e2b93d",
    "wrong": "#ef6b6b",
    "unknown": "#8a8a8a",
    "error:": "#ef6b6b",
}
"""Colors of a line's first word."""


def picture(command: str, output: str) -> str:
    """Return an SVG drawing of a terminal with `command` and its `output`, in `COLUMNS`."""
    lines = [f"$ {command}", *output.splitlines()]
    width = round(max(COLUMNS, *map(len, lines)) * COLUMN + 2 * MARGIN)
    height = len(lines) * ROW + 2 * MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="monospace" font-size="14">'
    )
    frame = f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>'
    rows = (
        f'<text x="{MARGIN}" y="{MARGIN + (number + 0.75) * ROW:g}" xml:space="preserve"'
        f' fill="{TEXT}">{"".join(_parts(line))}</text>'
        for number, line in enumerate(lines)
        if line
    )
    return "\n".join([head, frame, *rows, "</svg>\n"])


def _parts(line: str) -> Iterator[str]:
    match = re.match(r"( *)(\S+)(.*)", line)
    if match and (color := COLORS.get(match[2])):
        yield f'{match[1]}<tspan fill="{color}">{match[2]}</tspan>{escape(match[3])}'
    else:
        yield escape(line)
