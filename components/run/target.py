"""What is there before a deployment."""

from __future__ import annotations

from dataclasses import dataclass

from components.run.deployed import Deployed
from components.swarm.inspect import Swarm
from components.swarm.stack import SECRET_TYPE


@dataclass(frozen=True, kw_only=True)
class Target:
    """The swarm that is deployed to, and the state of the stack."""

    swarm: Swarm
    """The swarm as it is now."""
    deployed: Deployed
    """What the last deployment left in the state."""
    stack: str = ""
    """Pulumi's name of the stack, for advice."""

    @property
    def has_former_secrets(self) -> bool:
        """Return whether its secrets have the names that an earlier version gave them.

        These lack the prefix, and stay: an alias for each would break the state of a stack that is
        deployed with --target.
        """
        return self.deployed.has(SECRET_TYPE, "registry-config")
