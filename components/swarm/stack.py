"""What makes Swarm resources one stack, for `docker stack ps` and its like."""

from __future__ import annotations



