"""`registry:retention`: which tags go, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.retention import RetentionRule
from settings import rules
from settings.kinds import AnHourOrMore, Number, Rule
from settings.reader import Reader
from settings.values import Values

KEYS = ("repositories", "keep", "olderThan", "never")
KEEP = Number(0, 100_000)
TAGS = Rule(
    r"(?!.*\*\*)[A-Za-z0-9_.*-]{1,128}",
    "a pattern of whole tags: letters, digits, '_', '.' and '-', and '*' for any of them",
    "v*",
)
AGE = AnHourOrMore(
    rules.TTL.pattern,
    "a whole number and s, m or h: 720h are 30 days",
    "720h",
    why="what has just been pushed must stay",
)


def parse_retention(reader: Reader) -> Sequence[RetentionRule]:
    """Return the rules; note in `reader` each that can't be meant so."""
    items = reader.items("retention", "…")
    if items is None:
        return ()
    if items == []:
        reader.remove("retention", "has no rule in it.")
    if not reader.has("gc"):
        reason = (
            "needs registry:gc, at whose times it runs, and which frees the space of what the tags"
            " named:"
        )
        command = reader.command("set", "gc.schedule", path=True)
        reader.problem("retention", f"{reason}\n      {command} '0 4 * * *'")
    return [
        _rule(reader, path, values)
        for path, item in ((f"retention[{index}]", item) for index, item in enumerate(items))
        if (values := reader.map_at(path, item, KEYS)) is not None
    ]


def _rule(reader: Reader, path: str, values: Mapping[str, Any]) -> RetentionRule:
    part = Values(reader, path, values)
    return RetentionRule(
        repositories=_repositories(reader, path, values),
        keep=part.required("keep", KEEP, 10),
        older_than=part.required("olderThan", AGE, AGE.sample),
        never=_patterns(reader, path, values, "never", TAGS),
    )


def _repositories(reader: Reader, path: str, values: Mapping[str, Any]) -> Sequence[str]:
    if values.get("repositories") in (None, [], ""):
        reason = f"is missing: it must be {rules.REPOSITORIES.must}; '**' alone is for all."
        reader.problem(f"{path}.repositories", reason, rules.REPOSITORIES.sample, path=True)
        return ()
    return _patterns(reader, path, values, "repositories", rules.REPOSITORIES)


def _patterns(
    reader: Reader, path: str, values: Mapping[str, Any], name: str, rule: Rule
) -> Sequence[str]:
    """Return the patterns `name` of the map at `path`, which has one or a list."""
    given = values.get(name, [])
    if isinstance(given, list):
        return reader.list_at(f"{path}.{name}", given, rule)
    return (reader.part(path, values, name, rule) or "",)
