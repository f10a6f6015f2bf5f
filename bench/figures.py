"""What is measured: ratios to a peer, from medians of runs that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the report."""

    title: str
    ours: Sequence[float]
    """Each run's value, in `unit`."""
    peer: Sequence[float] = ()
    """The peer's, of the same run; none where the figure is one of ours alone."""
    unit: str
    better: Literal["less", "more"] = "less"
    target: float | None = None
    """Of the ratio, or where there is no peer of the value; None: reported only."""
    note: str = ""

    @property
    def value(self) -> float:
        """The ratio of medians; the median where there is no peer."""
        ours = statistics.median(self.ours)
        return ours / statistics.median(self.peer) if self.peer else ours

    @property
    def met(self) -> bool | None:
        """The target is met; None where there is no target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "less" else self.value >= self.target

    @property
    def spread(self) -> float:
        """The widest distance of a run from the median, on either side, as a part of that."""
        sides = [values for values in (self.ours, self.peer) if values and any(values)]
        return max(
            (max(abs(each - statistics.median(values)) for each in values))
            / (statistics.median(values) or 1)
            for values in sides or [[0.0]]
        )


@dataclass
class Rounds:
    """Contestants that run in turns, so that what disturbs one disturbs all."""

    times: dict[str, list[float]] = field(default_factory=dict)
    """Seconds by contestant."""

    def run(self, contestants: Mapping[str, Callable[[], object]], rounds: int) -> None:
        """Run each once in a round; one that fails ends the benchmark."""
        for _ in range(rounds):
            for name, act in contestants.items():
                start = time.monotonic()
                act()
                self.times.setdefault(name, []).append(time.monotonic() - start)
