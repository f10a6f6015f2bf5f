"""What Pulumi's state has of the stack's last deployment, read as the program begins.

A check that hangs on a resource is skipped with it (`--target`, `--exclude`), and comes after the
provider of a wrong engine has been registered. What is read here is known before anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

STASH = "pulumi:index:Stash"


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
    """Return what the state has of this stack; `RunError` when Pulumi doesn't tell."""
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
    raise pulumi.RunError(
        f"Pulumi doesn't tell what the state of stack {stack} has, and without it nothing guards"
        f" the images: {error}"
    )


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
