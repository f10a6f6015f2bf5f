"""What Pulumi's state has of the stack's last deployment, read as the program begins.

A check that hangs on a resource is skipped with it (`--target`, `--exclude`), and comes after the
provider of a wrong engine has been registered. What is read here is known before anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.errors import PartialUpgradeError, StateUnreadableError
from components.run.operation import is_partial

STASH = "pulumi:index:Stash"
FORMER_STORAGE_TYPE = "registry:index:PinnedVolume"
"""Pulumi's type of `Storage` before it held object stores too."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The resources of the last deployment; empty before the first, and after `pulumi destroy`."""

    outputs: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """Outputs by type token and logical name; what is a secret is in it as it is."""

    def has(self, type_: str, name: str) -> bool:
        """Return whether there is such a resource."""
        return (type_, name) in self.outputs

    def remembers(self, name: str) -> Any | None:
        """Return the value that the `pulumi.Stash` of that name keeps, or None."""
        return self.outputs.get((STASH, name), {}).get("input")


def read_deployed(organization: str, project: str, stack: str) -> Deployed:
    """Return what the state has of this stack; `StateUnreadableError` when Pulumi doesn't tell."""
    error: Exception | None = None
    # Backends from before Pulumi 3.62 know stacks by their plain names.
    for name in (f"{organization}/{project}/{stack}", stack):
        try:
            answer = pulumi.runtime.invoke(
                "pulumi:pulumi:readStackResourceOutputs", {"stackName": name}
            ).value
            return Deployed(outputs=dict(map(_resource, answer["outputs"].items())))
        except Exception as failure:  # Pulumi raises plain ones for what an invoke answers.
            error = error or failure
    raise StateUnreadableError(stack=stack, reason=str(error))


def refuse_partial_upgrade(deployed: Deployed) -> None:
    """Raise for `--target` or `--exclude` where an earlier version deployed the stack last.

    Pulumi keeps what is left out with what it depended on then, and takes that for registered
    twice: the deployment ends in the middle ("Duplicate resource URN").
    """
    if is_partial() and any(type_ == FORMER_STORAGE_TYPE for type_, _ in deployed.outputs):
        raise PartialUpgradeError


def once(running: pulumi.Output[bool], value: Any) -> pulumi.Output[Any]:
    """Return `value`, for a `pulumi.Stash`, once the deployment is `running`.

    Unlike what `apply` returns it depends on no resource. With `--target`, Pulumi carries along
    what an untargeted resource depended on, and then takes those for registered twice.
    """

    async def wait() -> Any:
        await running.future()
        return value

    return pulumi.Output.from_input(wait())


def _resource(item: tuple[str, Mapping[str, Any]]) -> tuple[tuple[str, str], Mapping[str, Any]]:
    urn, resource = item
    return (str(resource["type"]), urn.rpartition("::")[2]), resource["outputs"] or {}
