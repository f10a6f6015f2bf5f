"""Versions in the names of tags, and which of them are newer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_TAG = re.compile(r"(v?)(\d+(?:\.\d+)*)(.*)")


@dataclass(frozen=True)
class Version:
    """A tag with a version: `v3.7.15`, `7.4-alpine`."""

    tag: str
    prefix: str
    numbers: tuple[int, ...]
    rest: str
    """Text after the numbers: the variant of the image, or that it is no release yet."""

    def is_same_line(self, other: Version) -> bool:
        """Return whether it is of the same variant, and as exact."""
        alike = (self.prefix, self.rest) == (other.prefix, other.rest)
        return alike and len(self.numbers) == len(other.numbers)


@dataclass(frozen=True)
class Newer:
    """The newest tags beside one; empty where there is none newer."""

    minor: str = ""
    """Of the same major version."""
    major: str = ""
    """Of a later one."""


def parsed(tag: str) -> Version | None:
    """Return the version that a tag names; None for one such as `latest`."""
    match = _TAG.fullmatch(tag)
    if not match:
        return None
    prefix, numbers, rest = match.groups()
    return Version(tag, prefix, tuple(map(int, numbers.split("."))), rest)


def newer(tag: str, tags: Iterable[str]) -> Newer:
    """Return which of `tags` are newer than `tag`, of the same line."""
    present = parsed(tag)
    if present is None:
        return Newer()
    later = [
        version
        for version in map(parsed, tags)
        if version and version.is_same_line(present) and version.numbers > present.numbers
    ]
    later.sort(key=lambda version: version.numbers)
    minor = [each.tag for each in later if each.numbers[0] == present.numbers[0]]
    major = [each.tag for each in later if each.numbers[0] != present.numbers[0]]
    return Newer((minor or [""])[-1], (major or [""])[-1])
