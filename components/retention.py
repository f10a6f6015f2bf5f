"""Retention: which tags stay in a registry; what no rule keeps goes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

RULES_FILE = "/etc/registry-gc/retention.json"
"""File that `registry-gc` reads rules from."""


@dataclass(frozen=True, kw_only=True)
class RetentionRule:
    """A rule that lets old tags of some repositories go.

    Of several rules for a repository, one that keeps a tag is enough.
    """

    repositories: Sequence[str]
    """Patterns of whole names: `*` stands for characters without a slash, `**` for any."""
    keep: int
    """Tags that stay, however old: so many of those that were pushed last."""
    older_than: str
    """Time since its push for which a tag stays, in Go's form of a duration."""
    never: Sequence[str] = ()
    """Patterns of tags that stay, and that don't count for `keep`."""


def rules_text(rules: Sequence[RetentionRule]) -> str:
    """Return rules as `registry-gc` reads them."""
    listed = [
        {
            "repositories": list(rule.repositories),
            "keep": rule.keep,
            "olderThan": rule.older_than,
            "never": list(rule.never),
        }
        for rule in rules
    ]
    return json.dumps(listed, indent=2)
