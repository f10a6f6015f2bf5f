"""How long things may take on a machine that has other work to do as well, in seconds."""

from __future__ import annotations

SOON_S = 60
"""Time limit for a step that takes some seconds where nothing else runs."""
READY_S = 120
"""An engine to answer, and then to be ready in the swarm."""
STOPPED_S = 30
"""An orderly shutdown of a node."""
ENDED_S = 180
"""A process that was killed to be gone: it ends when the disk has answered it."""
