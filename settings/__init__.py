"""Every configuration key of the program: read, checked and typed, once.

`read()` gives the settings of the stack that is being deployed, or raises one
`pulumi.RunError` that names every wrong key, what it must be, and what to type.
A secret's value is never part of a message.

The names here are imported when they are first asked for: reading all settings takes a second,
and commands that need less of them shall start without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings.stack import Settings, parse, read, read_removal

__all__ = ["Settings", "parse", "read", "read_removal"]


def __getattr__(name: str) -> object:
    """Return what `settings.stack` has by that name."""
    if name in __all__:
        return getattr(importlib.import_module("settings.stack"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
