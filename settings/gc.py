"""`registry:gc` and `registry:retention`: how the space of what was deleted becomes free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.distribution.config import value_at
from components.garbage_collection import GarbageCollectionOptions
from components.version import TOOLS_IMAGE
from settings import rules
from settings.cron import CRON
from settings.kinds import BOOLEAN, AnHourOrMore, Mebibytes, Rule
from settings.reader import Reader
from settings.retention import parse_retention
from settings.values import Values

DEFAULTS = GarbageCollectionOptions()
KEYS = ("schedule", "grace", "trash", "untagged", "memory")
CACHES = ("storage.cache.blobdescriptor", "storage.cache.layerinfo")
"""Keys of the registry's configuration that name its cache: that of today, and the old one."""


GRACE = AnHourOrMore(
    rules.TTL.pattern,
    "a whole number and s, m or h, such as 24h",
    "24h",
    why="what a push under way has stored must stay",
)
TRASH = Rule(rules.TTL.pattern, "a whole number and s, m or h, such as 168h", "168h")


def parse_gc(
    reader: Reader, config: Mapping[str, Any], image: str | None
) -> GarbageCollectionOptions | None:
    """Return the garbage collection, by the tools `image`; None where there is none.

    Notes in `reader` what is wrong with it, also in the registry's own `config`.
    """
    values = reader.map_at("gc", reader.mapping("gc", "…"), KEYS) or {}
    retention = parse_retention(reader)
    if not reader.has("gc"):
        return None
    for path in CACHES:
        if value_at(config, path) == "inmemory":
            reason = (
                "is inmemory, and can't go with registry:gc: the registry would take what was"
                " removed for present, and confirm pushes that lack it. registry:cache redis can."
            )
            reader.remove(f"config.{path}", reason)
    part = Values(reader, "gc", values)
    return GarbageCollectionOptions(
        image=image or TOOLS_IMAGE,
        schedule=part.get("schedule", CRON, None),
        grace=part.get("grace", GRACE, DEFAULTS.grace),
        trash=part.get("trash", TRASH, DEFAULTS.trash),
        untagged=part.get("untagged", BOOLEAN, DEFAULTS.untagged),
        memory_mib=part.get("memory", Mebibytes(64), DEFAULTS.memory_mib),
        retention=retention,
    )
