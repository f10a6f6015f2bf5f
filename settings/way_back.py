"""Commands by which a stack's data are found again, or moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.distribution.storage import driver_named
from components.swarm.location import CERTIFICATES, IMAGES, MIRRORED_IMAGES, Role

PREFIXES = {IMAGES: "volume", MIRRORED_IMAGES: "mirrors", CERTIFICATES: "certificates"}
"""Beginning of the settings `<prefix>Name`, `<prefix>Node` and `<prefix>MovedFrom`."""
_SET, _REMOVE = "pulumi config set", "pulumi config rm"


def way_back(old: Mapping[str, Any], new: Mapping[str, Any], role: Role) -> list[str]:
    """Return the commands after which a deployment finds the data where they are, in `old`.

    The locations are in the form in which the state keeps them.
    """
    return list(_way_back(old, new, PREFIXES[role]))


def _way_back(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> Iterator[str]:
    before, after = old.get("kind", "volume"), new.get("kind", "volume")
    if before == after == "object store" and old["driver"] == new["driver"]:
        present = _parameters(new)
        for name, value in _parameters(old).items():
            path = f"registry:config.storage.{old['driver']}.{name}"
            if value != present[name]:
                yield f"{_SET} --path {path} {value}" if value else f"{_REMOVE} --path {path}"
        return
    if after == "object store":
        yield f"{_REMOVE} --path registry:config.storage.{new['driver']}"
    if before == "object store":
        for name, value in _parameters(old).items():
            if value:
                yield f"{_SET} --path registry:config.storage.{old['driver']}.{name} {value}"
        return
    driver = old.get("driver") or "local"
    if driver != ("local" if after == "object store" else new.get("driver") or "local"):
        verb, value = (_REMOVE, "") if driver == "local" else (_SET, f" {driver}")
        yield f"{verb} registry:volumeDriver{value}"
    if (old.get("options") or {}) != (new.get("options") or {}) or before != after:
        if before == "volume" and not old.get("options") and new.get("options"):
            yield f"{_REMOVE} registry:volumeOptions"
        for option, value in (old.get("options") or {}).items():
            yield f"{_SET} --path registry:volumeOptions.{option} '{value}'"
    if old["volume"] != new.get("volume"):
        yield f"{_SET} registry:{prefix}Name {old['volume']}"
    if before == "volume" and old.get("nodeId") != new.get("nodeId"):
        yield f"{_SET} registry:{prefix}Node {old['node'] or old['nodeId']}"


def _parameters(remembered: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the driver's parameters that name an object store, from the form in the state."""
    parts = (remembered.get(part) or "" for part in ("bucket", "endpoint", "folder"))
    return driver_named(remembered["driver"]).location_parameters(*parts)


def how_to_move(role: Role, old: str, new: str, stack: str) -> str:
    """Return what to type so that data go from a node, `old`, to another one."""
    prefix = PREFIXES[role]
    move = "To move them, copy"
    if role is IMAGES:
        move = f"To move them, while in use:\n      make move NODE={new} STACK={stack}\n  or copy"
    return (
        f"{move} the volume from {old} to {new}, then type:\n"
        f"      {_SET} registry:{prefix}Node {new}\n"
        f"      {_SET} registry:{prefix}MovedFrom {old}"
    )
