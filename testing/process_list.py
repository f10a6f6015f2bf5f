"""What all processes of this machine show of themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path


class ProcessList(threading.Thread):
    """Command lines of all processes, or other `parts` of them, looked at again and again."""

    def __init__(self, parts: Sequence[str] = ("cmdline",)) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self._parts = parts
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.is_set():
            for part in self._parts:
                self._read(part)
            time.sleep(0.02)

    def _read(self, part: str) -> None:
        for path in Path("/proc").glob(f"[0-9]*/{part}"):
            try:
                self.seen.add(path.read_text(errors="replace"))
            except OSError:  # It has ended since.
                continue

    def __enter__(self) -> ProcessList:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join(60)
