"""Where data are: a volume of one node, a volume that every node sees, or an object store.

The state remembers it, and no deployment leaves it without consent by name: a registry that starts
in another place is healthy, and empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from components.distribution.storage import ROOT_DIRECTORY, driver_named

DOCKERS_OWN = (None, "", "local")
"""Volume drivers that are Docker's own."""


class LocationError(Exception):
    """A deployment would leave data behind, or go to another swarm."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """What data are for, in the words of messages and settings."""

    name: str
    """Plural noun."""
    prefix: str
    """Of the settings `<prefix>Name`, `<prefix>Node`, `<prefix>MovedFrom`."""
    is_cache: bool = False
    """It fills itself again: what is wrong with its place is a warning."""


IMAGES = Role(name="images", prefix="volume")
MIRRORED = Role(name="mirrored images", prefix="mirrors", is_cache=True)
CERTIFICATES = Role(name="certificates", prefix="certificates")


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A Docker volume: of one node, or one that leads every node to the same data."""

    name: str
    """Its name in Docker."""
    driver: str | None = None
    """Volume driver; None for Docker's own."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The driver's options. A volume that is there keeps those that it was made with."""
    node_id: str | None = None
    """Node that it is on; None until one is chosen, or when it is shared."""
    node: str = ""
    """Host name of that node, for people."""
    label: str = ""
    """Label of that node."""

    @property
    def is_shared(self) -> bool:
        """Whether every node sees the same data."""
        return is_shared(self.driver, self.options)

    def remembered(self, cluster: str) -> dict[str, Any]:
        """Return the form in which the state keeps it; `cluster` is the swarm's id."""
        kept: dict[str, Any] = {"cluster": cluster, "volume": self.name}
        if self.is_shared:
            kept |= {"kind": "shared volume", "driver": self.driver or "local"}
        else:
            kept |= {"kind": "volume", "label": self.label}
            kept |= {"nodeId": self.node_id or "", "node": self.node}
        return kept | ({"options": dict(self.options)} if self.options else {})


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """A bucket, or what another kind of store calls one."""

    driver: str
    """Storage driver of the registry: `s3`, `gcs`, `azure`."""
    bucket: str
    """Its name; a container's with `azure`."""
    endpoint: str = ""
    """Address or account; empty for the driver's own."""
    folder: str = ""
    """Root directory in it, without slashes around; empty for the top."""

    def remembered(self, cluster: str) -> dict[str, Any]:
        """Return the form in which the state keeps it; `cluster` is the swarm's id."""
        return {
            "cluster": cluster,
            "kind": "object store",
            "driver": self.driver,
            "bucket": self.bucket,
            "endpoint": self.endpoint,
            "folder": self.folder,
        }


Location = Volume | ObjectStore


def is_shared(driver: str | None, options: Mapping[str, str]) -> bool:
    """Return whether such a volume leads every node to the same data.

    Docker's own driver mounts folders and disks of the node, unless the device is elsewhere: NFS
    has `:/path`, CIFS `//server/share`.
    """
    if driver not in DOCKERS_OWN:
        return True
    device = str(options.get("device") or "")
    return bool(re.match(r":|//|[^/]+:", device))


def object_store(driver: str, parameters: Mapping[str, Any]) -> ObjectStore:
    """Return the store that a storage driver's `parameters` name."""
    known = driver_named(driver)
    return ObjectStore(
        driver=driver,
        bucket=known.bucket_of(parameters),
        endpoint=known.address(parameters),
        folder=str(parameters.get(ROOT_DIRECTORY) or "").strip("/"),
    )


def names_of(remembered: Mapping[str, Any]) -> set[str]:
    """Return what consent may call the place that the state remembers."""
    place = dict(remembered)
    names = {place.get("volume"), place.get("nodeId"), place.get("node"), place.get("bucket")}
    if place.get("folder"):
        names.add(f"{place['bucket']}/{place['folder']}")
    return {str(name) for name in names if name}


def described(remembered: Mapping[str, Any]) -> str:
    """Return the place that the state remembers, in words."""
    place = dict(remembered)
    match place.get("kind", "volume"):
        case "object store":
            folder = f", folder {place['folder']}" if place.get("folder") else ""
            at = f" at {place['endpoint']}" if place.get("endpoint") else ""
            return f"bucket {place['bucket']}{at} ({place['driver']}{folder})"
        case "shared volume":
            return f"the shared volume {place['volume']}"
    return f"volume {place['volume']} on node {place['node']}"


def is_move(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    """Return whether data that are in `old` would be left behind in `new`."""
    return old is not None and _identity(old) != _identity(new)


def _identity(remembered: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes it the same data; a node may get another host name or label."""
    besides = ("cluster", "node", "label")
    kept = {"kind": "volume", "options": {}, **remembered}
    return {key: value for key, value in kept.items() if key not in besides}


def refuse_to_leave(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    consent: str | None,
    role: Role = IMAGES,
    stack: str = "",
) -> None:
    """`LocationError` when `new` isn't where the data are, and nobody consents by name."""
    if old is None or not is_move(old, new):
        return
    same_volume = "volume" in old and old["volume"] == new.get("volume")
    if same_volume and (old.get("options") or {}) != (new.get("options") or {}):
        raise LocationError(
            f"The {role.name} are in {described(old)}, and Docker keeps a volume of that name as it"
            " was made, whatever its driver and options are now. Give the new one another name:\n"
            f"      {config_command(stack, 'set')} registry:{role.prefix}Name {new['volume']}-2"
        )
    allowed = names_of(old) if same_volume else names_of(old) - {old.get("nodeId"), old.get("node")}
    if consent in allowed:
        return
    name = old.get("volume") or old["bucket"]
    if same_volume:
        raise LocationError(
            f"The {role.name} are on node {old['node']} ({old['nodeId']}), in volume {name}, and"
            f" {new['node']} ({new['nodeId']}) would start with an empty one. To keep them, type:\n"
            + "".join(f"      {line}\n" for line in way_back(old, new, role, stack))
            + f"  {how_to_move(old, role, stack)}"
        )
    raise LocationError(
        f"The {role.name} are in {described(old)}, and {described(new)} would be an empty place."
        " To keep them, type:\n"
        + "".join(f"      {line}\n" for line in way_back(old, new, role, stack))
        + "  To go on there (what is in the old place stays as it is), copy them, then type:\n"
        f"      {config_command(stack, 'set')} registry:{role.prefix}MovedFrom {name}"
    )


def way_back(
    old: Mapping[str, Any], new: Mapping[str, Any], role: Role, stack: str = ""
) -> list[str]:
    """Return the commands after which a deployment finds the data where they are, in `old`."""
    return list(_way_back(old, new, role, stack))


def _way_back(
    old: Mapping[str, Any], new: Mapping[str, Any], role: Role, stack: str
) -> Iterator[str]:
    before, after = old.get("kind", "volume"), new.get("kind", "volume")
    set_, remove = config_command(stack, "set"), config_command(stack, "rm")
    if before == after == "object store" and old["driver"] == new["driver"]:
        present = _parameters(new)
        for name, value in _parameters(old).items():
            path = f"registry:config.storage.{old['driver']}.{name}"
            if value != present[name]:
                yield f"{set_} --path {path} {value}" if value else f"{remove} --path {path}"
        return
    if after == "object store":
        yield f"{remove} --path registry:config.storage.{new['driver']}"
    if before == "object store":
        for name, value in _parameters(old).items():
            if value:
                yield f"{set_} --path registry:config.storage.{old['driver']}.{name} {value}"
        return
    if (old.get("options") or {}) != (new.get("options") or {}) or before != after:
        if before == "volume" and not old.get("options") and new.get("options"):
            yield f"{remove} registry:volumeOptions"
        for option, value in (old.get("options") or {}).items():
            yield f"{set_} --path registry:volumeOptions.{option} '{value}'"
    if old["volume"] != new.get("volume"):
        yield f"{set_} registry:{role.prefix}Name {old['volume']}"
    if before == "volume" and old.get("nodeId") != new.get("nodeId"):
        yield f"{set_} registry:{role.prefix}Node {old['node'] or old['nodeId']}"


def _parameters(remembered: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the driver's parameters that name an object store, from the form in the state."""
    parts = (remembered.get(part) or "" for part in ("bucket", "endpoint", "folder"))
    return driver_named(remembered["driver"]).location_parameters(*parts)


def how_to_move(old: Mapping[str, Any], role: Role, stack: str = "") -> str:
    """Return what to type after the volume has been copied to another node."""
    return (
        f"To move them, copy the volume from {old['node']} to the new node, then type:\n"
        f"      {config_command(stack, 'set')} registry:{role.prefix}Node NEW-NODE\n"
        f"      {config_command(stack, 'set')} registry:{role.prefix}MovedFrom {old['node']}"
    )


def refuse_another_swarm(
    old: Mapping[str, Any] | None, cluster: str, host: str, consent: str | None, stack: str = ""
) -> None:
    """`LocationError` when the stack was deployed to another swarm than the one at `host`."""
    before = (old or {}).get("cluster")
    if not before or before in (cluster, consent):
        return
    raise LocationError(
        f"Stack {stack} is deployed to swarm {before}, and the engine at {host} is a manager of"
        f" another one, {cluster}. If this is the wrong engine, name the right one:\n"
        f"      {config_command(stack, 'set')} docker:host ssh://USER@MANAGER\n"
        "  or take DOCKER_HOST and the docker context back. If the swarm was made anew, or the"
        f" stack shall move to this one, take the data there first, then type:\n"
        f"      make recover STACK={stack}\n"
        "  or, with a Pulumi of your own:\n"
        f"      {config_command(stack, 'set')} registry:swarmMovedFrom {before}"
    )


def on_node(volume: Volume, node_id: str, node: str, label: str) -> Volume:
    """Return the volume, on a node."""
    return replace(volume, node_id=node_id, node=node, label=label)


def config_command(stack: str, verb: str) -> str:
    """Return the beginning of a command about a setting, for messages."""
    return f"pulumi config {verb}{f' --stack {stack}' if stack else ''}"
