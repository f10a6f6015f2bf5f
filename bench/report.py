"""The figures as a table for people, as JSON, and as a picture."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from bench.figures import Figure
from ops.bootstrap import ROOT

ROW, REACH, MARGIN = 26, 170, 10
"""Pixels: of a row, of the longest bar on either side of the middle, and around texts."""
LETTER = 7
"""Pixels that a letter takes at the most, on average, in whatever font a viewer has."""
GOOD, BAD, PLAIN = "#2e7d32", "#c62828", "#607d8b"


def table(figures: Sequence[Figure]) -> str:
    """Return Markdown, which reads well in a terminal too."""
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
        figure.title,
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


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the benchmark, which can be measured alone."""

    name: str
    about: Mapping[str, object]
    """When it was measured, on what, and how long that took."""
    figures: Sequence[Figure]


def as_json(sections: Sequence[Section]) -> str:
    """Return all runs of all figures."""
    content = [
        {"name": each.name, **each.about, "figures": list(map(_fields, each.figures))}
        for each in sections
    ]
    return json.dumps({"sections": content}, indent=2) + "\n"


def _fields(figure: Figure) -> dict[str, object]:
    return {
        "title": figure.title,
        "unit": figure.unit,
        "ours": [round(each, 3) for each in figure.ours],
        "peer": [round(each, 3) for each in figure.peer],
        "value": round(figure.value, 3),
        "better": figure.better,
        "target": figure.target,
        "met": figure.met,
        "note": figure.note,
    }


def picture(figures: Sequence[Figure]) -> str:
    """Draw an SVG: how far each figure is from its target, the line in the middle."""
    shown = [figure for figure in figures if figure.target]
    labels = LETTER * max((len(figure.title) for figure in shown), default=0) + 2 * MARGIN
    values = LETTER * max((len(_value(figure)) for figure in shown), default=0) + 2 * MARGIN
    middle = labels + values + REACH
    width, height = middle + REACH + values, ROW * (len(shown) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{middle}" y="17" text-anchor="middle" fill="#555555">'
        "worse than it must be ◂ ▸ better</text>",
    ]
    for index, figure in enumerate(shown):
        top = ROW * (index + 1) + 4
        length = REACH * _distance(figure)
        left = middle if length >= 0 else middle + length
        end = middle + length + (6 if length >= 0 else -6)
        anchor = "start" if length >= 0 else "end"
        parts += [
            f'<text x="{labels - MARGIN}" y="{top + 14}" text-anchor="end" fill="#222222">'
            f"{escape(figure.title)}</text>",
            f'<rect x="{left:.1f}" y="{top}" width="{max(abs(length), 1):.1f}"'
            f' height="{ROW - 8}" fill="{GOOD if figure.met else BAD}"/>',
            f'<text x="{end:.1f}" y="{top + 14}" text-anchor="{anchor}" fill="#222222">'
            f"{escape(_value(figure))}</text>",
        ]
    bottom = height - ROW
    parts.append(f'<line x1="{middle}" y1="{ROW}" x2="{middle}" y2="{bottom}" stroke="{PLAIN}"/>')
    return "\n".join([*parts, "</svg>\n"])


def _value(figure: Figure) -> str:
    """Return the text beside a bar: `0.89 (≤ 1)`."""
    return f"{_number(figure.value)} ({_target(figure)})"


def _distance(figure: Figure) -> float:
    """Return the logarithm of how many times better than the target, of four: -1 to 1."""
    if not figure.value or not figure.target:
        return 1.0
    times = (
        figure.target / figure.value if figure.better == "less" else figure.value / figure.target
    )
    return max(-1.0, min(1.0, math.log(times) / math.log(4)))


def read(text: str) -> list[Section]:
    """Return the sections of a `bench.json`."""
    keys = ("title", "ours", "peer", "unit", "better", "target", "note")
    return [
        Section(
            name=each.pop("name"),
            figures=[Figure(**{key: row[key] for key in keys}) for row in each.pop("figures")],
            about=each,
        )
        for each in json.loads(text)["sections"]
    ]


def draw(sections: Sequence[Section]) -> str:
    """Return the picture of all their figures."""
    return picture([figure for section in sections for figure in section.figures])


def write(measured: Sequence[Section], order: Sequence[str], folder: Path) -> None:
    """Write `bench.json` and `bench.svg` into `folder`.

    Of the sections in `order`, those that weren't measured stay as they are there.
    """
    file = folder / "bench.json"
    sections = {each.name: each for each in read(file.read_text())} if file.exists() else {}
    sections |= {each.name: each for each in measured}
    text = as_json([sections[name] for name in order if name in sections])
    file.write_text(text)
    # Of the rounded figures in the file, so that drawing it again gives the same picture.
    (folder / "bench.svg").write_text(draw(read(text)))


def main() -> None:
    """Draw docs/bench.svg from the last measurement (`python -m bench.report`)."""
    docs = ROOT / "docs"
    (docs / "bench.svg").write_text(draw(read((docs / "bench.json").read_text())))


if __name__ == "__main__":
    main()
