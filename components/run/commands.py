"""Commands in messages: what to type."""

from __future__ import annotations

import re

_CONFIG = re.compile(r"\bpulumi config (set|rm)(?! --stack\b)")


def for_stack(text: str, stack: str) -> str:
    """Return `text` with the stack in each `pulumi config` command that names none.

    Components know no stack, and without one Pulumi takes the one that was selected last.
    """
    return _CONFIG.sub(rf"pulumi config \1 --stack {stack}", text)
