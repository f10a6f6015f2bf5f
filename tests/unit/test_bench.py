"""The benchmark's arithmetic, and its report."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from bench.figures import Figure, Rounds
from bench.local import covered
from bench.report import LETTER, as_json, picture, read, table, write
from ops.bootstrap import ROOT

FAST = Figure(title="preview / plan", ours=[1, 2, 30], peer=[8, 8, 4], unit="s", target=0.5)
SLOW = Figure(title="push", ours=[10], peer=[20], unit="MiB/s", better="more", target=0.85)
ALONE = Figure(title="failures", ours=[1], unit="", target=0)


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
    assert [each["met"] for each in json.loads(as_json(figures, {}))["figures"]] == [
        True,
        False,
        False,
    ]
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
    assert (docs / "bench.svg").read_text() == picture(read((docs / "bench.json").read_text()))


def test_a_picture_is_drawn_again_as_it_was(tmp_path: Path) -> None:
    figure = Figure(title="push", ours=[1.23456789], peer=[2.87654321], unit="s", target=0.77)
    write([figure], {}, tmp_path)
    redrawn = picture(read((tmp_path / "bench.json").read_text()))
    assert (tmp_path / "bench.svg").read_text() == redrawn


def test_commands_at_the_same_time_count_once() -> None:
    assert covered([(0, 2), (1, 3), (5, 6), (5.5, 5.8)]) == 4
    assert covered([]) == 0
