"""Environment variables by which a run takes over services and networks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

VARIABLE = "REGISTRY_TAKEOVER"
"""Environment variable: JSON, ids of services and networks by name. A run with it takes these
into the state, and then changes them to what is wanted."""
SWARM = "REGISTRY_SWARM_MOVED_FROM"
"""Environment variable: id of a swarm that is no more, which the stack was deployed to."""


def takeover() -> Mapping[str, str]:
    """Return the ids of what this run takes over, by name; mostly there are none."""
    return dict(json.loads(os.environ.get(VARIABLE) or "{}"))


def swarm_moved_from() -> str | None:
    """Return the id of the swarm that this run may leave."""
    return os.environ.get(SWARM) or None


def variables(ids: Mapping[str, str], swarm: str = "") -> dict[str, str]:
    """Return the variables of a run that takes over `ids`, and may leave `swarm`."""
    return {VARIABLE: json.dumps(dict(ids)), SWARM: swarm}
