"""The benchmark's arithmetic, and its report."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from bench.figures import Figure, Rounds
from bench.local import covered
from bench.report import LETTER, Section, as_json, draw, picture, read, table, write
from ops.bootstrap import ROOT
from ops.documentation import figures_table

FAST = Figure(title="preview / plan", ours=[1, 2, 30], peer=[8, 8, 4], unit="s", target=0.5)
SLOW = Figure(title="push", ours=[10], peer=[20], unit="MiB/s", better="more", target=0.85)
ALONE = Figure(title="failures", ours=[1], unit="", target=0)


def measured(name: str, *figures: Figure, date: str = "2026-01-01") -> Section:
    """Return a section that was measured on a day."""
    return Section(name=name, about={"date": date, "cores": 2}, figures=figures)


def test_a_figure_is_the_ratio_of_medians() -> None:
    assert FAST.value == 0.25
    assert FAST.met
    assert SLOW.value == 0.5
    assert SLOW.met is False
    assert ALONE.met is False


def test_the_spread_is_the_widest_run() -> None:
    assert FAST.spread == 14
    assert SLOW.spread == 0


def test_contestants_take_turns() -> None:
    seen: list[str] = []
    rounds = Rounds()
    rounds.run({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 2)
    assert seen == ["a", "b", "a", "b"]
    assert len(rounds.times["a"]) == 2


def test_no_figure_is_left_out() -> None:
    figures = [FAST, SLOW, ALONE]
    lines = table(figures).splitlines()
    assert len(lines) == 5
    assert "| met " in lines[2]
    assert "| missed " in lines[3]
    (section,) = json.loads(as_json([measured("data", *figures)]))["sections"]
    assert [each["met"] for each in section["figures"]] == [True, False, False]
    drawn = ElementTree.fromstring(picture(figures))  # noqa: S314 - our own
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"preview / plan", "push", "0.25 (≤ 0.50)", "0.50 (≥ 0.85)"} <= set(texts)


def test_no_text_of_the_picture_is_cut_off() -> None:
    # In a wide font, such as DejaVu Sans, a letter takes up to LETTER pixels.
    drawing = (ROOT / "docs/bench.svg").read_text()
    drawn = ElementTree.fromstring(drawing)  # noqa: S314 - our own
    width = float(drawn.attrib["width"])
    for each in drawn.iter("{http://www.w3.org/2000/svg}text"):
        length, x = LETTER * len(each.text or ""), float(each.attrib["x"])
        begin = x - length * {"start": 0, "middle": 0.5, "end": 1}[each.attrib["text-anchor"]]
        assert 0 <= begin <= width - length, each.text


def test_the_picture_in_the_docs_is_the_one_of_the_figures_there() -> None:
    # Drawn again without measuring: `python -m bench.report`.
    docs = ROOT / "docs"
    assert (docs / "bench.svg").read_text() == draw(read((docs / "bench.json").read_text()))


def test_a_picture_is_drawn_again_as_it_was(tmp_path: Path) -> None:
    figure = Figure(title="push", ours=[1.23456789], peer=[2.87654321], unit="s", target=0.77)
    write([measured("data", figure)], ["data"], tmp_path)
    redrawn = draw(read((tmp_path / "bench.json").read_text()))
    assert (tmp_path / "bench.svg").read_text() == redrawn


def test_a_section_that_is_measured_anew_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    order = ["control", "data"]
    write([measured("data", SLOW), measured("gone", ALONE)], [*order, "gone"], tmp_path)
    write([measured("control", FAST, date="2026-02-02")], order, tmp_path)
    write([measured("data", ALONE, date="2026-03-03")], order, tmp_path)
    text = (tmp_path / "bench.json").read_text()
    sections = [
        (each.name, each.about["date"], [figure.title for figure in each.figures])
        for each in read(text)
    ]
    assert sections == [
        ("control", "2026-02-02", [FAST.title]),
        ("data", "2026-03-03", [ALONE.title]),
    ]
    shown = figures_table(json.loads(text)["sections"])
    assert shown.count("\n| ") == 2
    assert shown.endswith("\n\nMeasured on 2026-02-02 `control`; on 2026-03-03 `data`.\n")


def test_commands_at_the_same_time_count_once() -> None:
    assert covered([(0, 2), (1, 3), (5, 6), (5.5, 5.8)]) == 4
    assert covered([]) == 0
