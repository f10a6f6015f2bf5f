"""`make bench`: what the registry costs, beside its peers, in one run."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from bench import control, data, large, load, local, logins, many, move, report, upkeep
from bench.figures import Figure
from bench.testbed import Testbed, testbed
from ops.bootstrap import ROOT
from ops.bootstrap.console import main, say

SECTIONS: dict[str, Callable[[Testbed], Iterator[Figure]]] = {
    "control": control.measure,
    "large": large.measure,
    "local": local.measure,
    "data": data.measure,
    "logins": logins.measure,
    "many": many.measure,
    "upkeep": upkeep.measure,
    "load": load.measure,
    "move": move.measure,
}
NODES = {"move": move.NODES}
"""Nodes of a section's swarm, where one isn't enough."""


def _run() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m bench")
    parser.add_argument("--only", choices=SECTIONS, help="one section; the others' figures stay")
    only = parser.parse_args().only
    for name in [only] if only else SECTIONS:
        section = _section(name)
        for figure in section.figures:
            if figure.note:
                print(f"{figure.title}: {figure.note}")
        # After each, so that one that fails takes none of the others with it.
        report.write([section], list(SECTIONS), ROOT / "docs")
    say("written: docs/bench.json, docs/bench.svg; `make docs` puts them into the documents")


def _section(name: str) -> report.Section:
    say(f"measuring: {name}")
    start, figures = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder, testbed(Path(folder), NODES.get(name, 1)) as bed:
        for figure in SECTIONS[name](bed):
            figures.append(figure)
            print(report.table([figure]), flush=True)
    about = {
        "date": str(date.today()),
        "minutes": round((time.monotonic() - start) / 60, 1),
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.release()}",
        "terraform": control.version(),
    }
    return report.Section(name=name, about=about, figures=figures)


main(_run)
