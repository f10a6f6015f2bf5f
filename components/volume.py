"""A named volume that stays on its node, and whose data outlive the stack."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_docker as docker

from components.engine import Engine
from components.placement import IMAGES, Contents, Place, choose_node, refuse_to_leave
from components.stack import NAMESPACE
from components.swarm import Node, Swarm, label_only


@dataclass(frozen=True, kw_only=True)
class PinnedVolumeArgs:
    """Which volume, and where it may be."""

    stack_name: str
    """Swarm stack that the volume belongs to."""
    key: str
    """What the volume is for; the node label is `<stack_name>.<key>`."""
    volume: str
    """Its name in Docker."""
    swarm: Swarm
    """The swarm as it is now."""
    contents: Contents = IMAGES
    """What is in it, for the messages."""
    managers_only: bool = False
    """Its service needs a manager."""
    node: str | None = None
    """Host name or id of the node that holds it; None leaves the choice to the program, once."""
    moved_from: str | None = None
    """Consent to a move: the node, or the volume, that held the data until now."""
    destroy_data: bool = False
    """Let `pulumi destroy` delete the volume and all that is in it."""


class PinnedVolume(pulumi.ComponentResource):
    """A volume, its node, and the label that ties a service to that node.

    `RunError`, in a preview too, when the node is gone, down or drained, when several nodes have
    the label, or when the data would be left behind (see `placement`).
    """

    constraint: pulumi.Output[str]
    """Placement constraint for the service that mounts the volume; there when the label is set."""
    node: pulumi.Output[str]
    """Host name of the node."""

    def __init__(
        self, name: str, args: PinnedVolumeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("registry:index:PinnedVolume", name, None, opts)
        label = f"{args.stack_name}.{args.key}"
        nodes = [node for node in args.swarm.nodes if node.manager or not args.managers_only]
        node = choose_node(nodes, label, args.node, args.moved_from, args.contents)
        here = Place(volume=args.volume, label=label, node_id=node.id, node=node.name)

        def guard(change: pulumi.ResourceHookArgs) -> None:
            old, new = change.old_inputs or {}, change.new_inputs or {}
            refuse_to_leave(old["input"], new["input"], args.moved_from, args.contents)

        place = pulumi.Stash(
            f"{name}-place",
            input=here.remembered(),
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=pulumi.ResourceHookBinding(
                    before_update=[
                        pulumi.ResourceHook(
                            f"{name}-guard", guard, pulumi.ResourceHookOptions(on_dry_run=True)
                        )
                    ]
                ),
            ),
        )
        # The URN is known in a preview, unlike the id of what isn't there yet.
        self.node = place.urn.apply(partial(_label, args.swarm.engine, label, node))
        self.constraint = self.node.apply(lambda _: f"node.labels.{label} == true")
        # Only on the engine that the provider talks to. Elsewhere Swarm makes the volume, with
        # the same labels, on the node where the task starts.
        if node.id == args.swarm.node_id:
            docker.Volume(
                f"{name}-volume",
                name=args.volume,
                labels=[docker.VolumeLabelArgs(label=NAMESPACE, value=args.stack_name)],
                # A change of any field would delete the volume with its data and make a new one.
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=[place],
                    retain_on_delete=not args.destroy_data,
                    ignore_changes=["labels", "driver", "driverOpts"],
                ),
            )
        self.register_outputs({"node": self.node, "constraint": self.constraint})


def _label(engine: Engine, label: str, node: Node, _: str) -> str:
    """Sets the label when something is being deployed; also when somebody took it off."""
    if not pulumi.runtime.is_dry_run():
        label_only(engine, label, node.id)
    return node.name
