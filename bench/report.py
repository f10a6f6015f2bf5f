"""The figures as a table for people, as JSON, and as a picture."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from bench.figures import Figure

WIDTH, ROW, LABELS = 980, 26, 520
"""Pixels: of the picture, of a row, and of the labels at its left."""
GOOD, BAD, PLAIN = "#2e7d32", "#c62828", "#607d8b"


def table(figures: Sequence[Figure]) -> str:
    """Markdown, which reads well in a terminal too."""
    rows = [["what", "ours", "peer", "ratio", "must be", "spread", ""]]
    rows += [_row(figure) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(rows[0], widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    return "\n".join([*lines, *(_line(row, widths) for row in rows[1:])])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    return f"| {' | '.join(cells)} |"


def _row(figure: Figure) -> list[str]:
    peer = f"{_number(statistics.median(figure.peer))} {figure.unit}" if figure.peer else ""
    return [
        figure.what,
        f"{_number(statistics.median(figure.ours))} {figure.unit}",
        peer,
        f"{figure.value:.2f}" if figure.peer else "",
        _target(figure),
        f"±{figure.spread:.0%}",
        {True: "met", False: "missed", None: ""}[figure.met],
    ]


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"{'≤' if figure.better == 'less' else '≥'} {_number(figure.target)}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def as_json(figures: Sequence[Figure], about: Mapping[str, object]) -> str:
    """All runs of all figures."""
    rows = [
        {
            "what": figure.what,
            "unit": figure.unit,
            "ours": [round(each, 3) for each in figure.ours],
            "peer": [round(each, 3) for each in figure.peer],
            "value": round(figure.value, 3),
            "better": figure.better,
            "target": figure.target,
            "met": figure.met,
            "note": figure.note,
        }
        for figure in figures
    ]
    return json.dumps({**about, "figures": rows}, indent=2) + "\n"


def picture(figures: Sequence[Figure]) -> str:
    """SVG: how far each figure is from its target, which is the line in the middle."""
    shown = [figure for figure in figures if figure.target]
    height = ROW * (len(shown) + 2)
    middle, reach = (LABELS + WIDTH) / 2, (WIDTH - LABELS) / 2 - 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{middle}" y="17" text-anchor="middle" fill="#555555">'
        "worse than it must be ◂ ▸ better</text>",
    ]
    for index, figure in enumerate(shown):
        top = ROW * (index + 1) + 4
        length = reach * _distance(figure)
        left = middle if length >= 0 else middle + length
        end = middle + length + (6 if length >= 0 else -6)
        anchor = "start" if length >= 0 else "end"
        text = f"{_number(figure.value)} ({_target(figure)})"
        parts += [
            f'<text x="{LABELS - 10}" y="{top + 14}" text-anchor="end" fill="#222222">'
            f"{escape(figure.what)}</text>",
            f'<rect x="{left:.1f}" y="{top}" width="{max(abs(length), 1):.1f}"'
            f' height="{ROW - 8}" fill="{GOOD if figure.met else BAD}"/>',
            f'<text x="{end:.1f}" y="{top + 14}" text-anchor="{anchor}" fill="#222222">'
            f"{escape(text)}</text>",
        ]
    bottom = height - ROW
    parts.append(f'<line x1="{middle}" y1="{ROW}" x2="{middle}" y2="{bottom}" stroke="{PLAIN}"/>')
    return "\n".join([*parts, "</svg>\n"])


def _distance(figure: Figure) -> float:
    """-1 to 1: logarithm of how many times better than the target, four times at the most."""
    if not figure.value or not figure.target:
        return 1.0
    times = (
        figure.target / figure.value if figure.better == "less" else figure.value / figure.target
    )
    return max(-1.0, min(1.0, math.log(times) / math.log(4)))


def write(figures: Sequence[Figure], about: Mapping[str, object], folder: Path) -> None:
    """`bench.json` and `bench.svg` in `folder`."""
    (folder / "bench.json").write_text(as_json(figures, about))
    (folder / "bench.svg").write_text(picture(figures))
