"""Named volumes, each on one node: `registry:volume…`, `certificates…`, `mirrors…`."""

from __future__ import annotations

from dataclasses import dataclass

from components.placement import Contents
from settings import rules
from settings.reader import Reader


@dataclass(frozen=True, kw_only=True)
class VolumeSettings:
    """A volume, and what says where it is."""

    contents: Contents
    """What is in it; the keys are `<prefix>Name`, `<prefix>Node` and `<prefix>MovedFrom`."""
    name: str
    """Its name in Docker. Default `<stack_name>_<key>`."""
    node: str | None
    """Host name or id of the node that holds it. Default: one is chosen, once."""
    moved_from: str | None
    """Consent to a move: the node (or volume) that held it until now."""


def parse_volume(reader: Reader, contents: Contents, default: str) -> VolumeSettings:
    """The three keys of one volume; `default` is its name."""
    prefix = contents.prefix
    return VolumeSettings(
        contents=contents,
        name=reader.text(f"{prefix}Name", rules.NAME, default),
        node=reader.optional(f"{prefix}Node", rules.NODE),
        moved_from=reader.optional(f"{prefix}MovedFrom", rules.NAME),
    )
