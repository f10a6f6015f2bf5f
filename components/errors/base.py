"""What all errors are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi


class DeploymentError(pulumi.RunError):
    """Something that stands against a deployment; Pulumi shows its text, and no traceback."""


@dataclass(eq=False, kw_only=True)
class CombinedError(DeploymentError):
    """More than one at once."""

    errors: Sequence[DeploymentError]

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


def raise_all(errors: Sequence[DeploymentError]) -> None:
    """Raise the errors as one; do nothing when there are none."""
    if errors:
        raise errors[0] if len(errors) == 1 else CombinedError(errors=errors)
