"""The swarm and the state before a deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import pulumi

from components.errors import DeploymentError
from components.run.deployed import Deployed
from components.swarm.inspect import Swarm
from components.swarm.stack import SECRET_TYPE

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Target:
    """The swarm that is deployed to, and the state of the stack."""

    swarm: Swarm
    """The swarm as it is now."""
    deployed: Deployed
    """Resources of the last deployment, in the state."""
    explain: Callable[[DeploymentError], str] = str
    """Text of an error, with what to type where a program knows that."""
    fail: Callable[[Exception], NoReturn] | None = None
    """Ends the program with an error in an output. Default: Pulumi does, and adds a vaguer one."""

    def or_fail(self, output: pulumi.Output[T]) -> pulumi.Output[T]:
        """Return `output`, whose error ends the program: for each that asks the engine."""
        return output.recover(self.fail) if self.fail else output

    @property
    def has_former_secrets(self) -> bool:
        """Return whether its secrets have the names that an earlier version gave them.

        These lack the prefix, and stay: an alias for each would break the state of a stack that is
        deployed with --target.
        """
        return self.deployed.has(SECRET_TYPE, "registry-config")
