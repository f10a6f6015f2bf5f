"""`registry:retention`: which tags go, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from components.retention import RetentionRule
from settings import rules
from settings.kinds import AnHourOrMore, Kind, Number, Rule, WrongValueError
from settings.reader import Reader, close_to

T = TypeVar("T")
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
        _rule(reader, f"retention[{index}]", item)
        for index, item in enumerate(items)
        if _is_map(reader, f"retention[{index}]", item)
    ]


def _is_map(reader: Reader, path: str, item: object) -> bool:
    if not isinstance(item, Mapping):
        reader.remove(path, f"must be a map of {', '.join(KEYS)}.")
    return isinstance(item, Mapping)


def _rule(reader: Reader, path: str, values: Mapping[str, Any]) -> RetentionRule:
    for key in sorted(set(values) - set(KEYS)):
        hint = close_to(key, KEYS) or f" There are {', '.join(KEYS)}."
        reader.remove(f"{path}.{key}", f"is not a setting of a rule.{hint}")
    repositories = values.get("repositories", [])
    if repositories in ([], ""):
        must = rules.REPOSITORIES.must
        reason = f"is missing: it must be {must}; '**' alone is for all."
        reader.problem(f"{path}.repositories", reason, rules.REPOSITORIES.sample, path=True)
        repositories = []
    return RetentionRule(
        repositories=_patterns(reader, f"{path}.repositories", repositories, rules.REPOSITORIES),
        keep=_required(reader, f"{path}.keep", values.get("keep"), KEEP, "10") or 0,
        older_than=_required(reader, f"{path}.olderThan", values.get("olderThan"), AGE, "720h")
        or AGE.sample,
        never=_patterns(reader, f"{path}.never", values.get("never", []), TAGS),
    )


def _required(reader: Reader, path: str, value: object, kind: Kind[T], example: str) -> T | None:
    """Return a value; None for one that is missing or wrong, which is noted."""
    try:
        # The CLI takes digits for a number, and `true` for a boolean.
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise WrongValueError(kind.must)
        return kind.parse(str(value))
    except WrongValueError as error:
        wrong = "is missing" if value is None else f"is {reader.shown('retention', value)}"
        reader.problem(path, f"{wrong}: it must be {error}.", example, path=True)
        return None


def _patterns(reader: Reader, path: str, items: object, rule: Rule) -> Sequence[str]:
    """Return patterns, of which `items` has one or a list; those that are none are noted."""
    if isinstance(items, list):
        named = [(f"{path}[{index}]", item) for index, item in enumerate(items)]
    else:
        named = [(path, items)]
    patterns = []
    for key, item in named:
        if isinstance(item, str) and rule.admits(item):
            patterns.append(item)
        else:
            reason = f"is {reader.shown('retention', item)}: it must be {rule.must}."
            reader.problem(key, reason, rule.sample, path=True)
    return patterns
