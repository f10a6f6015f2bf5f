"""What a registry loses that is cleaned up, or backed up, while clients use it: nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.testbed import Testbed
from ops.bootstrap.console import say
from testing.go_tests import FILES, REDIS, S3, compile_tests, figures_of

RUNS, KILLS = 50, 20
STOCK_RUNS = 10
"""Runs of the registry's own tool, of which one on S3 may take 20 s."""
STORES = {FILES: "files", REDIS: "files and Redis", S3: "S3"}
"""Names in the report, by those in the test programs."""
TEST_S = 1800
"""Time limit of a test, seconds."""
MEMORY_MIB = 256
"""Limit of the task that cleans up, by default."""
OPERATIONS = ("pushes", "pulls", "deletes", "refused", "undone", "gaps", "checked")
"""Figures of what the clients did: `refused` are pushes that failed and are tried again, `undone`
deletions that failed, `gaps` pulls that failed for a moment, `checked` tags that were pulled
between runs and at the end."""


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Run the tests under load as often as it takes to trust them; one that loses a tag fails."""
    collector, backup = (compile_tests(name, testbed.folder) for name in ("gc", "backup"))
    for store, name in STORES.items():
        yield from _collections(collector, store, name)
    for store in (FILES, S3):
        yield from _backups(backup, store, STORES[store])


def _collections(program: Path, store: str, name: str) -> Iterator[Figure]:
    say(f"{RUNS} collections under load on {name}, and {STOCK_RUNS} of the registry's own tool")
    runs = {"GC_RUNS": str(RUNS), "GC_STOCK": str(STOCK_RUNS), "GC_KILLS": str(KILLS)}
    ours, stock, killed = (
        figures_of(program, test, store, runs, TEST_S)
        for test in (
            "TestUnderLoadEveryTagStaysWhole",
            "TestUnderLoadTheStockToolBreaksTags",
            "TestKilledUnderLoadNothingIsLost",
        )
    )
    yield Figure(
        title=f"{RUNS} collections under 8 clients on {name}: tags lost"
        f" / by {STOCK_RUNS} of the registry's own",
        ours=[ours["lost"]],
        peer=[stock["lost"]] if stock["lost"] else [],
        unit="",
        target=0,
        note=f"{_listed(ours)}; the registry's own tool: {_listed(stock)}",
    )
    yield Figure(
        title=f"a collection under 8 clients on {name}: memory at the peak",
        ours=[ours["memory"]],
        unit="MiB",
        target=MEMORY_MIB,
    )
    yield _lost(f"{KILLS} collections killed under 8 clients on {name}", killed)


def _backups(program: Path, store: str, name: str) -> Iterator[Figure]:
    say(f"{KILLS} backups under load on {name}, and {KILLS} that are killed")
    settings = {"LOAD_RUNS": str(KILLS), "LOAD_KILLS": str(KILLS)}
    for test, title in (
        ("TestUnderLoadEveryTagIsRestored", f"{KILLS} backups under 8 clients on {name}"),
        (
            "TestKilledUnderLoadItCompletesLater",
            f"{KILLS} backups killed under 8 clients on {name}",
        ),
    ):
        yield _lost(f"{title}, restored", figures_of(program, test, store, settings, TEST_S))


def _lost(title: str, figures: Mapping[str, Any]) -> Figure:
    return Figure(
        title=f"{title}: tags lost",
        ours=[figures["lost"]],
        unit="",
        target=0,
        note=_listed(figures),
    )


def _listed(figures: Mapping[str, Any]) -> str:
    """Return them as words: the clients' operations first."""
    others = sorted(set(figures) - {*OPERATIONS, "lost"})
    return ", ".join(f"{name} {figures[name]:g}" for name in (*OPERATIONS, *others))
