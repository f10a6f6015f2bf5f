"""Named volumes, each on one node: `registry:volume…`, `certificates…`, `mirrors…`."""

from __future__ import annotations

from dataclasses import dataclass

from components.swarm.location import Role
from settings import rules
from settings.reader import Reader


@dataclass(frozen=True, kw_only=True)
class VolumeSettings:
    """A volume, and what says where it is."""

    role: Role
    """What is in it; the keys are `<prefix>Name`, `<prefix>Node` and `<prefix>MovedFrom`."""
    name: str
    """Its name in Docker. Default `<stack_name>_<key>`."""
    node: str | None
    """Host name or id of the node that holds it. Default: one is chosen, once."""
    moved_from: str | None
    """Consent to a move: the node, volume or bucket that held the data until now."""


def parse_volume(reader: Reader, role: Role, default: str) -> VolumeSettings:
    """The three keys of one volume; `default` is its name."""
    prefix = role.prefix
    for part in ("Name", "Node", "MovedFrom"):
        reader.unshare(f"{prefix}{part}", f"where one stack's {role.name} are")
    return VolumeSettings(
        role=role,
        name=reader.text(f"{prefix}Name", rules.NAME, default),
        node=reader.optional(f"{prefix}Node", rules.NODE),
        moved_from=reader.optional(f"{prefix}MovedFrom", rules.PLACE),
    )
