"""What killed containers leave of themselves in the kernel."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def remove_cgroups(pattern: str) -> None:
    """Remove cgroups by a pattern of their names: killed containers leave them behind, empty.

    Version 1 has a tree for each controller.
    """
    top = Path("/sys/fs/cgroup")
    for root in [*top.glob(pattern), *top.glob(f"*/{pattern}")]:
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
