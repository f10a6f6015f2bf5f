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

from bench import control, data, large, local, logins, many, report, upkeep
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
}


def _run() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m bench")
    parser.add_argument("--only", choices=SECTIONS, help="one section; nothing is written then")
    only = parser.parse_args().only
    start = time.monotonic()
    figures: list[Figure] = []
    for name in [only] if only else SECTIONS:
        say(f"measuring: {name}")
        with tempfile.TemporaryDirectory() as folder, testbed(Path(folder)) as bed:
            for figure in SECTIONS[name](bed):
                figures.append(figure)
                print(report.table([figure]), flush=True)
    print(f"\n{report.table(figures)}\n")
    for figure in figures:
        if figure.note:
            print(f"{figure.title}: {figure.note}")
    if not only:
        about = {
            "date": str(date.today()),
            "cores": os.cpu_count(),
            "machine": f"{platform.system()} {platform.release()}",
            "minutes": round((time.monotonic() - start) / 60, 1),
            "terraform": control.version(),
        }
        report.write(figures, about, ROOT / "docs")
        say("written: docs/bench.json, docs/bench.svg")


main(_run)
