"""What is there before a deployment."""

from __future__ import annotations

from dataclasses import dataclass

from components.run.deployed import Deployed
from components.swarm.inspect import Swarm


@dataclass(frozen=True, kw_only=True)
class Target:
    """The swarm that is deployed to, and the state of the stack."""

    swarm: Swarm
    """The swarm as it is now."""
    deployed: Deployed
    """What the last deployment left in the state."""
    stack: str = ""
    """Pulumi's name of the stack, for advice."""
