"""Environment variables by which one run alone takes something over, or leaves a place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

VARIABLE = "REGISTRY_TAKEOVER"
"""Environment variable: JSON, ids of services and networks by name. A run with it takes these
into the state, and then changes them to what is wanted."""
SWARM = "REGISTRY_SWARM_MOVED_FROM"
"""Environment variable: id of a swarm that is no more, which the stack was deployed to."""
MOVE = "REGISTRY_MOVE"
"""Environment variable: JSON, a `Move`."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A move of the images that one run does, whose copy is made.

    It isn't in the settings: a consent that stayed there, because a command was killed, would let
    any later deployment leave what was pushed after the copy.
    """

    moved_from: str
    """Consent: the node, volume or bucket that they leave."""
    node: str | None = None
    """Node that they go to, whatever the settings say; None: what these say."""


def takeover() -> Mapping[str, str]:
    """Return the ids of what this run takes over, by name; mostly there are none."""
    return dict(json.loads(os.environ.get(VARIABLE) or "{}"))


def swarm_moved_from() -> str | None:
    """Return the id of the swarm that this run may leave."""
    return os.environ.get(SWARM) or None


def move() -> Move | None:
    """Return the move that this run does; mostly there is none."""
    text = os.environ.get(MOVE)
    return Move(**json.loads(text)) if text else None


def variables(ids: Mapping[str, str], swarm: str = "", move: Move | None = None) -> dict[str, str]:
    """Return the variables of a run that takes over `ids`, may leave `swarm`, and does `move`."""
    text = json.dumps(asdict(move)) if move else ""
    return {VARIABLE: json.dumps(dict(ids)), SWARM: swarm, MOVE: text}
