"""`python -m testing.tools`: compile what the cache hasn't got."""

from __future__ import annotations

from ops.bootstrap.console import main
from testing.tools import PACKAGES, tool


def _compile() -> None:
    for name in PACKAGES:
        tool(name)


if __name__ == "__main__":
    main(_compile)
