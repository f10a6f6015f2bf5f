"""Where data are: what the state remembers of it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from components.errors import (
    AnotherSwarmError,
    DataLeftBehindError,
    LocationError,
    VolumeReusedError,
)
from components.swarm.guard import refuse_another_swarm, refuse_to_leave
from components.swarm.location import (
    IMAGES,
    Location,
    ObjectStore,
    Volume,
    is_move,
    is_shared,
    object_store,
)
from settings.way_back import way_back

from .conftest import refused

NFS = {"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/images"}


@pytest.mark.parametrize(
    ("driver", "options", "shared"),
    [
        (None, {}, False),
        ("local", {}, False),
        (None, {"type": "none", "o": "bind", "device": "/srv/registry"}, False),
        (None, {"type": "ext4", "device": "/dev/sdb1"}, False),
        (None, {"type": "tmpfs", "device": "tmpfs"}, False),
        (None, {"type": "btrfs"}, False),
        (None, NFS, True),
        ("local", NFS | {"device": "nas.example.com:/images"}, True),
        (None, {"type": "cifs", "device": "//nas/images"}, True),
        ("rclone", {}, True),
    ],
)
def test_a_volume_is_shared_only_if_every_node_sees_the_same_data(
    driver: str | None, options: dict[str, str], shared: bool
) -> None:
    assert is_shared(driver, options) == shared


def volume(name: str = "data", node: str = "dog", **about: Any) -> Volume:
    return Volume(name=name, node_id=f"{node}-id", node=node, label="s.registry-data", **about)


def bucket(name: str = "images", **parameters: str) -> ObjectStore:
    return object_store("s3", {"bucket": name, "region": "eu-central-1", **parameters})


def kept(location: Location) -> dict[str, Any]:
    return location.remembered("cluster")


SHARED = Volume(name="shared", options=NFS)
MOVES: dict[str, tuple[Location, Location, list[str]]] = {
    "another node": (volume(), volume(node="cat"), ["dog", "dog-id", "data"]),
    "another volume": (volume(), volume("other"), ["data"]),
    "another volume on another node": (volume(), volume("other", "cat"), ["data"]),
    "another disk": (
        volume(options={"device": "/dev/sdb1", "type": "ext4"}),
        volume("other", options={"device": "/dev/sdc1", "type": "ext4"}),
        ["data"],
    ),
    "from a volume to NFS": (volume(), SHARED, ["data"]),
    "from NFS to a volume": (SHARED, volume(), ["shared"]),
    "to a plugin": (volume(), Volume(name="other", driver="rclone"), ["data"]),
    "another NFS server": (
        SHARED,
        Volume(name="other", options=NFS | {"o": "addr=10.0.0.2"}),
        ["shared"],
    ),
    "from a volume to a bucket": (volume(), bucket(), ["data"]),
    "from a bucket to a volume": (bucket(), volume(), ["images"]),
    "another bucket": (bucket(), bucket("imgaes"), ["images"]),
    "another store": (bucket(), bucket(regionendpoint="http://minio:9000"), ["images"]),
    "another folder": (
        bucket(rootdirectory="/prod"),
        bucket(rootdirectory="/production"),
        ["images", "images/prod"],
    ),
    "another kind of store": (
        bucket(),
        object_store("gcs", {"bucket": "images"}),
        ["images"],
    ),
}


@pytest.mark.parametrize("case", MOVES)
def test_leaving_what_is_remembered_takes_consent_by_name(case: str) -> None:
    old, new, consents = MOVES[case]
    for consent in (None, "another"):
        with refused(
            LocationError, "To keep them, type:\n      pulumi config (set|rm) --stack prod "
        ):
            refuse_to_leave(kept(old), kept(new), consent)
    for consent in consents:
        refuse_to_leave(kept(old), kept(new), consent)
    assert is_move(kept(old), kept(new))
    assert way_back(kept(old), kept(new), IMAGES)


@pytest.mark.parametrize("consent", ["dog", "dog-id"])
def test_consent_for_a_node_is_none_for_another_volume(consent: str) -> None:
    with refused(DataLeftBehindError, "an empty place"):
        refuse_to_leave(kept(volume()), kept(volume("other")), consent)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (volume(), volume()),
        (volume(), Volume(name="data", node_id="dog-id", node="renamed", label="t.registry-data")),
        (bucket(rootdirectory="/a/"), bucket(rootdirectory="a")),
        (bucket(regionendpoint="http://minio:9000/"), bucket(regionendpoint="http://minio:9000")),
        (SHARED, SHARED),
    ],
)
def test_staying_is_no_move(old: Location, new: Location) -> None:
    assert not is_move(kept(old), kept(new))
    refuse_to_leave(kept(old), kept(new), None)


def test_what_an_earlier_version_remembered_counts() -> None:
    before = {"volume": "data", "label": "s.registry-data", "nodeId": "dog-id", "node": "dog"}
    refuse_to_leave(before, kept(volume()), None)
    with refused(DataLeftBehindError, "volume data on node dog"):
        refuse_to_leave(before, kept(bucket()), None)


@pytest.mark.parametrize("consent", [None, "data", "shared"])
def test_a_volume_keeps_its_driver_and_options_so_another_one_needs_another_name(
    consent: str | None,
) -> None:
    changed = Volume(name="shared", options=NFS | {"o": "addr=10.0.0.2"})
    plugin = Volume(name="data", driver="rclone")
    changes = ((volume(), Volume(name="data", options=NFS)), (SHARED, changed))
    for old, new in (*changes, (volume(), plugin), (plugin, volume())):
        with refused(
            VolumeReusedError, "Give the new one another name:\n .*volumeName (data|shared)-2"
        ):
            refuse_to_leave(kept(old), kept(new), consent)


def test_the_way_back_is_one_command_for_one_change() -> None:
    def back(old: Location, new: Location) -> list[str]:
        return way_back(kept(old), kept(new), IMAGES)

    set_, remove = "pulumi config set", "pulumi config rm"
    s3 = "--path registry:config.storage.s3"
    assert back(volume(), volume(node="cat")) == [f"{set_} registry:volumeNode dog"]
    assert back(volume(), volume("other")) == [f"{set_} registry:volumeName data"]
    plugin = Volume(name="data", driver="rclone")
    assert back(volume(), plugin) == [
        f"{remove} registry:volumeDriver",
        f"{set_} registry:volumeNode dog",
    ]
    assert back(plugin, volume()) == [f"{set_} registry:volumeDriver rclone"]
    assert back(volume(), bucket())[0] == f"{remove} {s3}"
    assert back(bucket(), bucket("other")) == [f"{set_} {s3}.bucket images"]
    assert back(bucket(), bucket(rootdirectory="/b")) == [f"{remove} {s3}.rootdirectory"]


def test_another_swarm_is_refused_until_it_is_named() -> None:
    location = kept(volume())
    with refused(AnotherSwarmError, "Stack prod is deployed to swarm cluster, and the engine at"):
        refuse_another_swarm(location, "another", "unix:///docker.sock", None)
    refuse_another_swarm(location, "another", "unix:///docker.sock", "cluster")
    refuse_another_swarm(location, "cluster", "unix:///docker.sock", None)
    refuse_another_swarm(None, "another", "unix:///docker.sock", None)
    refuse_another_swarm({"volume": "data"}, "another", "unix:///docker.sock", None)
