"""Where data are: a volume of one node, a volume that every node sees, or an object store.

The state remembers it, and no deployment leaves it without consent by name: a registry that starts
in another place is healthy, and empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from components.distribution.storage import ROOT_DIRECTORY, driver_named

DOCKERS_OWN = (None, "", "local")
"""Volume drivers that are Docker's own."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """Purpose of data, for messages."""

    name: str
    """Plural noun."""
    is_cache: bool = False
    """It fills itself again: what is wrong with its location is a warning."""


IMAGES = Role(name="images")
MIRRORED_IMAGES = Role(name="mirrored images", is_cache=True)
CERTIFICATES = Role(name="certificates")


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
        """Every node sees the same data."""
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
    kept = dict(remembered)
    names = {kept.get("volume"), kept.get("nodeId"), kept.get("node"), kept.get("bucket")}
    if kept.get("folder"):
        names.add(f"{kept['bucket']}/{kept['folder']}")
    return {str(name) for name in names if name}


def described(remembered: Mapping[str, Any]) -> str:
    """Return the place that the state remembers, in words."""
    kept = dict(remembered)
    match kept.get("kind", "volume"):
        case "object store":
            folder = f", folder {kept['folder']}" if kept.get("folder") else ""
            at = f" at {kept['endpoint']}" if kept.get("endpoint") else ""
            return f"bucket {kept['bucket']}{at} ({kept['driver']}{folder})"
        case "shared volume":
            return f"the shared volume {kept['volume']}"
    return f"volume {kept['volume']} on node {kept['node']}"


def is_move(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    """Return whether data that are in `old` would be left behind in `new`."""
    return old is not None and _identity(old) != _identity(new)


def _identity(remembered: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes it the same data; a node may get another host name or label."""
    ignored = ("cluster", "node", "label")
    kept = {"kind": "volume", "options": {}, **remembered}
    return {key: value for key, value in kept.items() if key not in ignored}


def on_node(volume: Volume, node_id: str, node: str, label: str) -> Volume:
    """Return the volume, on a node."""
    return replace(volume, node_id=node_id, node=node, label=label)
