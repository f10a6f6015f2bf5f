"""No deployment leaves data behind, or goes to another swarm, without consent by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.errors import (
    AnotherSwarmError,
    DataLeftBehindError,
    VolumeReusedError,
    VolumeWouldMoveError,
)
from components.swarm.location import IMAGES, Role, described, is_move, names_of


def refuse_to_leave(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    consent: str | None,
    role: Role = IMAGES,
) -> None:
    """Raise `LocationError` when `new` isn't where the data are, and nobody consents by name."""
    if old is None or not is_move(old, new):
        return
    facts: dict[str, Any] = {
        "role": role,
        "old": old,
        "new": new,
        "old_text": described(old),
        "new_text": described(new),
    }
    same_volume = "volume" in old and old["volume"] == new.get("volume")
    if same_volume and _made_as(old) != _made_as(new):
        raise VolumeReusedError(**facts)
    allowed = names_of(old) if same_volume else names_of(old) - {old.get("nodeId"), old.get("node")}
    if consent not in allowed:
        raise (VolumeWouldMoveError if same_volume else DataLeftBehindError)(**facts)


def _made_as(volume: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what Docker keeps of a volume: its driver and options."""
    return volume.get("driver") or "local", volume.get("options") or {}


def refuse_another_swarm(
    old: Mapping[str, Any] | None, cluster: str, host: str, consent: str | None
) -> None:
    """Raise `AnotherSwarmError` when the stack's swarm isn't the one at `host`."""
    before = (old or {}).get("cluster")
    if before and before not in (cluster, consent):
        raise AnotherSwarmError(before=before, cluster=cluster, host=host)
