"""One line of the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

State = Literal["ok", "off", "newer", "warning", "wrong", "unknown"]
"""`off`: it isn't used. `newer`: there is a newer version. `unknown`: it couldn't be asked. None of
these is a fault by itself."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One finding."""

    title: str
    """Its subject, in one or two words."""
    state: State
    text: str
    """The finding, in a sentence without a full stop."""
    commands: tuple[str, ...] = ()
    """Commands that help or show more; none where all is well."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs: numbers in bytes or seconds, moments in UTC."""


def stamp(time: datetime) -> str:
    """Return a moment for programs, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
