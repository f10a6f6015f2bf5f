"""The storage that images are in, as it is deployed, and the one that the settings name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.distribution.config import CA_FILE, CONFIG_PATH, DATA_PATH, merged
from components.distribution.storage import (
    FILESYSTEM,
    ROOT_DIRECTORY,
    driver_defaults,
    drivers_in,
    keeps_files,
)
from components.errors import DeploymentError
from components.storage import IMAGES_STORAGE, place_of
from components.swarm.guard import refuse_another_swarm, refuse_to_leave
from components.swarm.inspect import Node, read_node
from components.swarm.location import (
    Location,
    ObjectStore,
    Volume,
    described,
    is_move,
    object_store,
    on_node,
)
from components.swarm.placement import choose_node, holders_of
from components.swarm.service import service_name
from components.swarm.stack import namespace_labels
from ops import checkpoint, inventory
from ops.bootstrap.console import UserError
from ops.job import service_named
from ops.move.copying import Side
from ops.move.route import labels_of
from settings.remedies import explain

if TYPE_CHECKING:
    from docker import APIClient

    from ops.stack import Stack
    from settings import Settings

_Raw = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StorageRoute:
    """A registry's way from one storage to another."""

    old: _Raw
    """Location that the state remembers, in its form."""
    new: Location
    source: Side
    target: Side
    labels: Mapping[str, str]
    """Labels of the registry's service."""
    login_labels: Mapping[str, str]
    """Labels of the token server's service; none without one."""
    is_over: bool
    """The registry uses the new storage already: only the state doesn't say so."""

    @property
    def old_text(self) -> str:
        """The old location in words."""
        return described(self.old)

    @property
    def new_text(self) -> str:
        """The new location in words."""
        return described(self.new.remembered(""))

    @property
    def consent(self) -> str:
        """Name of the old location, by which a deployment may leave it."""
        return str(self.old.get("volume") or self.old["bucket"])

    @property
    def node_id(self) -> str | None:
        """Node of the new volume; None where every node sees the images."""
        return self.new.node_id if isinstance(self.new, Volume) else None


def find_storage_route(stack: Stack) -> StorageRoute:
    """Return the way from the storage that is deployed to that of the settings.

    UserError when there is none.
    """
    name = service_name(stack.config.swarm_stack, "registry")
    settings = stack.settings
    old = checkpoint.read(stack.name).noted(place_of(IMAGES_STORAGE))
    with inventory.connected(stack.name, stack.endpoint) as client:
        service = service_named(client, name)
        token_server = service_named(client, service_name(stack.config.swarm_stack, "token"))
        if service is None or not old:
            raise UserError(
                f"stack {stack.name} isn't deployed, so there is nothing to move; deploy it first:"
                f" make deploy STACK={stack.name}"
            )
        cluster = client.info()["Swarm"]["Cluster"]["ID"]
        nodes = [read_node(raw) for raw in client.nodes()]
        networks = [_network_id(client, each) for each in settings.networks]
    try:
        refuse_another_swarm(old, cluster, stack.endpoint.host, None)
        new = _located(settings, nodes, old)
        remembered = new.remembered(cluster)
        _refuse_unneeded(stack, old, remembered)
        refuse_to_leave(old, remembered, str(old.get("volume") or old["bucket"]))
    except DeploymentError as error:
        raise UserError(explain(error, stack.name)) from error
    spec = service["Spec"]
    files = _storage_files(stack.name, spec)
    return StorageRoute(
        old=old,
        new=new,
        source=Side(
            name=_mark_name(old),
            files=files,
            mounts=spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or [],
        ),
        target=_target(settings, new, networks),
        labels=labels_of(service),
        login_labels=labels_of(token_server),
        is_over=_uses(spec, json.loads(files[CONFIG_PATH]), new),
    )


def _network_id(client: APIClient, name: str) -> str:
    ids = [each["Id"] for each in client.networks(names=[name]) if each["Name"] == name]
    if not ids:
        raise UserError(f"registry:networks has {name!r}, and the swarm has no such network")
    return str(ids[0])


def _located(settings: Settings, nodes: Sequence[Node], old: _Raw) -> Location:
    """Return the location of the settings, with its node; PlacementError when none will do."""
    location = settings.location
    if not isinstance(location, Volume) or location.is_shared:
        return location
    label = f"{settings.stack.name}.{IMAGES_STORAGE}"
    wanted = settings.volumes.images.node
    for holder in holders_of(nodes, label) if wanted and not old.get("nodeId") else []:
        if wanted not in (holder.id, holder.name):
            raise UserError(
                f"registry:volumeNode is {wanted!r}, and node {holder.name} still has the label of"
                " an earlier volume of these images. Take it away, or name that node:\n"
                f"      docker node update --label-rm {label} {holder.name}"
            )
    node = choose_node(
        nodes,
        label,
        wanted=wanted,
        consent=old.get("nodeId"),
        remembered=old if old.get("nodeId") else None,
        constraints=settings.registry.constraints,
    )
    return on_node(location, node.id, node.name, label)


def _refuse_unneeded(stack: Stack, old: _Raw, new: _Raw) -> None:
    """Raise UserError when the settings name the storage that there is, or only another node."""
    if not is_move(old, new):
        raise UserError(
            f"the images are in {described(old)}, as the settings of stack {stack.name} say. To"
            f" move them to another node: make move NODE=… STACK={stack.name}; to another storage:"
            " change registry:config.storage or registry:volume…, and type this again"
        )
    if old.get("volume") and old["volume"] == new.get("volume") and new.get("nodeId"):
        same = {**new, "nodeId": old.get("nodeId"), "node": old.get("node")}
        if not is_move(old, same):
            raise UserError(
                f"only the node is another one: make move NODE={new['node']} STACK={stack.name}"
            )


def _storage_files(stack: str, spec: _Raw) -> dict[str, str]:
    """Return the texts of the registry's files that are about its storage, by path.

    They are its own secrets, as the state has them: the program can't use those on the swarm, which
    the deployment is going to replace, and a secret that is in use can't be removed.
    """
    secrets = spec["TaskTemplate"]["ContainerSpec"].get("Secrets") or []
    ids = {each["SecretID"]: each["File"]["Name"] for each in secrets}
    of_storage = {id_: path for id_, path in ids.items() if path in (CONFIG_PATH, CA_FILE)}
    texts = checkpoint.secret_texts(stack, of_storage)
    if CONFIG_PATH not in {of_storage[id_] for id_ in texts}:
        raise UserError(
            f"the state of stack {stack} hasn't the registry's configuration that is deployed;"
            f" deploy it first, with the settings as they were: make deploy STACK={stack}"
        )
    return {of_storage[id_]: text for id_, text in texts.items()}


def _target(settings: Settings, new: Location, networks: Sequence[str]) -> Side:
    """Return the side that has the storage of the settings."""
    config, constraints = settings.registry.config, list(settings.registry.constraints)
    parameters: dict[str, Any] = {ROOT_DIRECTORY: DATA_PATH}
    driver, mounts = FILESYSTEM, []
    if isinstance(new, Volume):
        mounts = [_mount(settings.stack.name, new)]
        constraints = [f"node.id == {new.node_id}"] if new.node_id else constraints
    else:
        (driver,) = drivers_in(config)
        defaults = driver_defaults(config).get(driver, {})
        parameters = merged(defaults, config["storage"][driver] or {})
    files = {CONFIG_PATH: json.dumps({"version": "0.1", "storage": {driver: parameters}})}
    if settings.registry.ca:
        files[CA_FILE] = settings.registry.ca
    return Side(
        name=_mark_name(new.remembered("")),
        files=files,
        mounts=mounts,
        networks=networks,
        constraints=constraints,
    )


def _mount(swarm_stack: str, volume: Volume) -> _Raw:
    """Return the mount of a volume as the registry is going to have it, for Docker's API.

    The volume is made here, with what the registry's service would make it with.
    """
    options: dict[str, Any] = {"Labels": namespace_labels(swarm_stack)}
    if volume.driver or volume.options:
        driver = {"Name": volume.driver or "local", "Options": dict(volume.options)}
        options["DriverConfig"] = driver
    return {
        "Type": "volume",
        "Source": volume.name,
        "Target": DATA_PATH,
        "VolumeOptions": options,
    }


def _mark_name(remembered: _Raw) -> str:
    """Return a location's name for the mark that is written there: without its options."""
    keys = ("kind", "driver", "endpoint", "bucket", "folder", "volume", "nodeId")
    return " ".join(str(remembered[key]) for key in keys if remembered.get(key))


def _uses(spec: _Raw, config: _Raw, location: Location) -> bool:
    """Return whether a registry with that specification and configuration is at a location."""
    if isinstance(location, ObjectStore):
        if keeps_files(config):
            return False
        (driver,) = drivers_in(config)
        return object_store(driver, config["storage"][driver] or {}) == location
    mounts = spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or []
    volumes = [each.get("Source") for each in mounts if each["Target"] == DATA_PATH]
    return keeps_files(config) and location.name in volumes
