"""Where a stack keeps data: chosen, guarded, remembered in the state, and mounted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_docker as docker

from components.errors import LocationError, MoveUndoneError, NodeNotNamedError, PlacementError
from components.run.deployed import FORMER_STORAGE_TYPE, once
from components.run.operation import deploys
from components.run.target import Target
from components.swarm import NAMESPACE
from components.swarm.direct import label_only, remove_volume
from components.swarm.guard import refuse_to_leave
from components.swarm.inspect import Node
from components.swarm.location import (
    IMAGES,
    Location,
    Role,
    Volume,
    described,
    is_move,
    on_node,
)
from components.swarm.placement import choose_node, holders_of, move_cut_off
from components.swarm.stack import SwarmStack
from components.swarm.task import MountedData, volume_mount

IMAGES_STORAGE, MIRRORS_STORAGE, CERTIFICATES_STORAGE = STORAGES = (
    "registry-data",
    "mirrors",
    "certificates",
)
"""Storages of a stack: the last part of a volume's name, and of its node's label."""
VOLUME = "docker:index/volume:Volume"


@dataclass(frozen=True, kw_only=True)
class VolumeOptions:
    """Options of where data are."""

    role: Role = IMAGES
    """Purpose of the data."""
    name: str
    """Name of the volume in Docker."""
    node: str | None = None
    """Host name or id of the node that holds them; None leaves the choice to the program, once."""
    moved_from: str | None = None
    """Consent to a move: the node, volume or bucket that held the data until now."""


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """Arguments of `Storage`: which data, and where they may be."""

    stack: SwarmStack
    options: VolumeOptions
    location: Location
    """Location that they shall be in. A volume that isn't shared gets its node here."""
    target: Target
    """The swarm, and what the state has of the place until now."""
    constraints: Sequence[str] = ()
    """Constraints of the service on its node besides the label."""
    apart_from: Location | None = None
    """Other data, on whose node these aren't put unless there is no other."""
    destroy: bool = False
    """Delete the volume, and all that is in it, in a `pulumi destroy`."""


class Storage(pulumi.ComponentResource):
    """Data of a stack: where they are, and what ties a service to that place.

    The label of a volume's node is `<stack>.<name>`, with the name of this resource.

    Before anything is touched: `LocationError` when the data would be left behind without consent
    by name, `PlacementError` when their node is gone, down or drained, or when several nodes have
    the label. For a cache it is a warning, and the location stays.
    """

    location: Location
    """Location of the data, with the node of a volume that isn't shared."""
    constraints: Sequence[pulumi.Output[str]]
    """Placement constraints of the service; known when the label is set."""
    node: pulumi.Output[str] | None
    """Host name of the node; None when every node sees the data."""
    available: bool
    """A task can start there now; only a cache may be unavailable."""

    def __init__(
        self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        former = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=FORMER_STORAGE_TYPE)])
        super().__init__(
            "registry:index:Storage", name, None, pulumi.ResourceOptions.merge(opts, former)
        )
        self._name, self._args = name, args
        self._label = f"{args.stack.name}.{name}"
        self._remembered = _remembered(args, place_of(name))
        self.available = True
        try:
            self.location = _located(args, self._label, self._remembered)
            options = args.options
            refuse_to_leave(
                self._comparable(), self._location_kept, options.moved_from, options.role
            )
        except (PlacementError, LocationError) as error:
            if not args.options.role.is_cache:
                raise
            text = args.target.explain(error)
            pulumi.log.warn(f"{text}\n  Until then the cache is left as it is.")
            self.location, self.available = self._kept(), False
        cut_off = move_cut_off(args.target.swarm.nodes, self._label, args.options.role)
        if cut_off and args.options.moved_from != cut_off.old.id:
            pulumi.log.warn(args.target.explain(cut_off))
        self.constraints, self.node = [], None
        if isinstance(self.location, Volume) and self.location.node_id:
            self.node = self._labelled(self.location)
            constraint = f"node.labels.{self.location.label} == true"
            self.constraints = [self.node.apply(lambda _: constraint)]
            self._declare_volume(self.location)

    @property
    def _location_kept(self) -> dict[str, Any]:
        return self.location.remembered(self._args.target.swarm.cluster_id)

    @property
    def is_move(self) -> bool:
        """This deployment leaves the location that the data were in."""
        return is_move(self._comparable(), self._location_kept)

    def at(self, path: str) -> MountedData:
        """Return what a task mounts to have the data at `path`, and where it may run."""
        mounts = []
        if isinstance(self.location, Volume):
            volume, stack = self.location, self._args.stack
            mounts = [volume_mount(stack.name, volume.name, path, volume.driver, volume.options)]
        return MountedData(mounts=mounts, constraints=self.constraints)

    def remember(self, running: pulumi.Output[bool]) -> None:
        """Keep the place in the state; a new one only when all is `running` there.

        So after a move that failed the state still says where the data are.
        """
        kept = once(running, self._location_kept) if self.is_move else self._location_kept
        hooks = None
        if self._args.destroy and isinstance(self.location, Volume):
            hook = destroy_hook(self._name, self._args.target)
            hooks = pulumi.ResourceHookBinding(after_delete=[hook])
        pulumi.Stash(
            place_of(self._name),
            input=kept,
            opts=pulumi.ResourceOptions(parent=self, hooks=hooks),
        )
        self.register_outputs({"node": self.node})

    def undo_move(self) -> MoveUndoneError | None:
        """Put the label back after a failed deployment, and return what is so; None without one."""
        if not self.is_move or self._remembered is None:
            return None
        old, args = self._remembered, self._args
        home = next((n for n in args.target.swarm.nodes if n.id == old.get("nodeId")), None)
        is_label_back = False
        if home and isinstance(self.location, Volume) and old["label"] == self.location.label:
            label_only(args.target.swarm.engine, self.location.label, home.id)
            is_label_back = True
        return MoveUndoneError(
            role=args.options.role,
            old=old,
            new=self._location_kept,
            old_text=described(old),
            new_text=described(self._location_kept),
            is_label_back=is_label_back,
        )

    def _comparable(self) -> dict[str, Any] | None:
        """Return what is remembered; after a consented move to another swarm, without its node."""
        old, cluster = self._remembered, self._args.target.swarm.cluster_id
        if old is None or old.get("cluster", cluster) == cluster or "nodeId" not in old:
            return old
        kept = self._location_kept
        return old | {key: kept[key] for key in ("nodeId", "node") if key in kept}

    def _kept(self) -> Location:
        """Return the place of a cache that can't be used now."""
        old, volume = self._remembered, self._args.location
        if not isinstance(volume, Volume) or volume.is_shared:
            return volume
        label = self._label
        if old and old.get("nodeId"):
            return on_node(volume, old["nodeId"], old["node"], label)
        holders = holders_of(self._args.target.swarm.nodes, label) or self._args.target.swarm.nodes
        return on_node(volume, holders[0].id, holders[0].name, label)

    def _labelled(self, volume: Volume) -> pulumi.Output[str]:
        """Set the label, in a deployment; return the node's name when it is set."""
        engine, node_id = self._args.target.swarm.engine, volume.node_id or ""

        def label(node: str) -> str:
            if deploys() and self.available:
                label_only(engine, volume.label, node_id)
            return node

        return self._args.target.or_fail(pulumi.Output.from_input(volume.node).apply(label))

    def _declare_volume(self, volume: Volume) -> None:
        """Keep hold of a volume that an earlier version declared, to be deleted with the stack.

        Left out, it would be deleted by the next deployment. Swarm makes volumes by itself, on the
        node where a task starts; the provider would, on whichever node it talks to.
        """
        declared = f"{self._name}-volume"
        if self._args.destroy and self._args.target.deployed.has(VOLUME, declared):
            docker.Volume(
                declared,
                name=volume.name,
                labels=[docker.VolumeLabelArgs(label=NAMESPACE, value=self._args.stack.name)],
                opts=pulumi.ResourceOptions(
                    parent=self,
                    retain_on_delete=True,
                    # A change of any field would delete the volume and make a new one.
                    ignore_changes=["name", "labels", "driver", "driverOpts"],
                ),
            )


def place_of(storage: str) -> str:
    """Return the name of the `pulumi.Stash` with the place of a storage's data."""
    return f"{storage}-place"


def destroy_hook(name: str, target: Target) -> pulumi.ResourceHook:
    """Return what deletes the volume of storage `name` when a stack is destroyed, all users gone.

    A deployment never deletes what it belongs to, and a destroying program has no more than this.
    """
    kept, swarm = target.deployed.remembers(place_of(name)) or {}, target.swarm

    def delete(_: pulumi.ResourceHookArgs) -> None:
        if "nodeId" not in kept:
            return
        if kept["nodeId"] == swarm.node_id:
            remove_volume(swarm.engine, kept["volume"])
        else:
            pulumi.log.warn(
                f"Volume {kept['volume']} is kept: it is on node {kept['node']}, out of reach"
                f" from here. To delete it, type there:\n      docker volume rm {kept['volume']}"
            )

    return pulumi.ResourceHook(f"{name}-destroy", delete)


def _remembered(args: StorageArgs, name: str) -> dict[str, Any] | None:
    """Return what the state has of the place, where that binds anybody."""
    remembered: dict[str, Any] | None = args.target.deployed.remembers(name)
    if remembered is None or not args.options.role.is_cache:
        return remembered
    # A cache goes where the images go, and away from a node that is no more.
    kind = args.location.remembered("").get("kind")
    nodes = {node.id for node in args.target.swarm.nodes}
    stays = remembered.get("kind", "volume") == kind and remembered.get("nodeId") in {None, *nodes}
    return remembered if stays else None


def _located(args: StorageArgs, label: str, remembered: dict[str, Any] | None) -> Location:
    """Return the location, with the node of a volume that is on one; `PlacementError` without."""
    volume = args.location
    if not isinstance(volume, Volume) or volume.is_shared:
        return volume
    nodes, options = args.target.swarm.nodes, args.options
    home = remembered if remembered and remembered.get("nodeId") else None
    if home and home.get("cluster", args.target.swarm.cluster_id) != args.target.swarm.cluster_id:
        _refuse_unnamed(args, nodes, label)
        home = None
    other = args.apart_from
    node = choose_node(
        nodes,
        label,
        wanted=options.node,
        consent=options.moved_from,
        remembered=home,
        constraints=args.constraints,
        apart_from=other.node_id if isinstance(other, Volume) else None,
        role=options.role,
    )
    return on_node(volume, node.id, node.name, label)


def _refuse_unnamed(args: StorageArgs, nodes: Sequence[Node], label: str) -> None:
    """Raise on another swarm, where nobody but its owner knows which node has the volume."""
    role = args.options.role
    if args.options.node or len(nodes) == 1 or holders_of(nodes, label) or role.is_cache:
        return
    raise NodeNotNamedError(role=role, nodes=nodes)
