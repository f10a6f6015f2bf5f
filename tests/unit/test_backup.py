"""`registry:backup`: its settings and its service."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components import Backup, BackupArgs, BackupLocation, BackupOptions, StorageAccess, SwarmStack
from components.backup import STORAGE_FILE
from components.version import TOOLS_IMAGE
from settings import Settings, parse
from settings.backup import location_of
from settings.kinds import WrongValueError

from .program import raw

GOOD = {"stackName": "images-com", "domain": "images.example.com"}
KEYS = {"region": "eu-central-1", "accesskey": "me", "secretkey": "secret"}
STORE = {"config": {"storage": {"s3": {**KEYS, "bucket": "images", "rootdirectory": "/here"}}}}


def settings(**values: Any) -> Settings:
    return parse(raw({**GOOD, **values}), lambda _: True, "prod")


def problems(**values: Any) -> str:
    """Return the one error."""
    with pytest.raises(pulumi.RunError) as wrong:
        settings(**values)
    return str(wrong.value)


def test_there_is_none_unless_it_is_asked_for() -> None:
    assert settings().backup is None
    asked = settings(backup={"to": "volume:backups"})
    assert asked.backup == BackupOptions(
        name="images.example.com", location=BackupLocation(source="backups")
    )
    # Without a schedule there is no service: it runs when somebody asks.
    assert "backup" not in asked.images


def test_all_of_it_can_be_chosen() -> None:
    values = {"to": "/srv/backup/", "schedule": "0 3 * * *", "keep": 3, "memory": "1GiB"}
    chosen = settings(backup=values, toolsImage="ghcr.io/acme/tools:1")
    assert chosen.backup == BackupOptions(
        image="ghcr.io/acme/tools:1",
        name="images.example.com",
        location=BackupLocation(source="/srv/backup"),
        schedule="0 3 * * *",
        keep=3,
        memory_mib=1024,
    )
    assert chosen.images["backup"] == "ghcr.io/acme/tools:1"
    built = settings(backup={"to": "/a", "schedule": "0 3 * * *"})
    assert built.images["backup"] == TOOLS_IMAGE
    assert "backup" not in built.pulled_images
    assert built.with_images({"backup": "other:1"}).images["backup"] == "other:1"


def test_a_store_has_parameters_of_its_own_over_those_of_the_registry() -> None:
    chosen = settings(backup={"to": "s3://copies/a/b", "s3": KEYS}).backup
    assert chosen
    location = {**KEYS, "bucket": "copies", "rootdirectory": "/a/b"}
    assert chosen.location.storage == {"s3": location}
    assert chosen.location.path == STORAGE_FILE
    assert "secret" not in repr(chosen), "a message might show it"
    lent = settings(**STORE, backup={"to": "s3://copies", "s3": {"region": "us-east-1"}}).backup
    assert lent
    assert lent.location.storage == {"s3": {**KEYS, "region": "us-east-1", "bucket": "copies"}}
    assert lent.s3 == {**KEYS, "region": "us-east-1"}


@pytest.mark.parametrize(
    "text",
    [
        "backups",
        "s3://",
        "s3://B",
        "s3://a/b c",
        "volume:",
        "volume:a/b",
        "/",
        "a/b",
        "/a,b",
        "s3://backups/../images",
        "s3://backups/.",
        "/srv/../etc",
        "/srv/a\x07",
        "volume:a",
    ],
)
def test_a_location_is_a_store_a_volume_or_a_folder(text: str) -> None:
    with pytest.raises(WrongValueError, match="s3://bucket/prefix"):
        location_of(text, {})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "registry:backup.to is missing"),
        ({"to": 7}, "registry:backup.to is [secret]: it must be s3://bucket/prefix"),
        ({"to": "s3://backups"}, "registry:backup.s3.region must be a text that isn't empty"),
        (
            {"to": "s3://backups", "s3": {"region": "us-east-1", "accesskey": "me"}},
            "registry:backup.s3.secretkey is missing: the keys go together",
        ),
        ({"to": "/a", "s3": {"secure": "maybe"}}, "registry:backup.s3.secure is [secret]"),
        ({"to": "/a", "s3": {"region": None}}, "registry:backup.s3.region has no value"),
        (
            {"to": "s3://backups", "s3": {"region": True}},
            "registry:backup.s3.region must be a text",
        ),
        (
            {"to": "/a", "s3": {"reigon": "x"}},
            "backup.s3.reigon is nothing that the storage driver",
        ),
        ({"to": "volume:images-com_registry-data"}, "a volume that the stack itself keeps data in"),
        ({"to": "/a", "keep": 0}, "registry:backup.keep is [secret]: it must be a whole number"),
        ({"to": "/a", "schedule": "daily"}, "registry:backup.schedule is"),
        ({"to": "/a", "form": "x"}, "registry:backup.form is none of "),
        ({"to": "/a", "s3": "x"}, "registry:backup.s3 must be a map"),
        ({"to": "/a", "s3": {"bucket": "x"}}, "registry:backup.s3.bucket is part of"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], expected: str) -> None:
    message = problems(backup=values)
    assert expected in message
    assert message.startswith("One setting of stack prod is wrong")


def test_a_backup_is_elsewhere_than_the_images() -> None:
    for location in ("s3://images/here", "s3://images/here/"):
        assert "where the images themselves are" in problems(**STORE, backup={"to": location})
    for location in ("s3://images/backups", "s3://images", "s3://copies/here"):
        assert settings(**STORE, backup={"to": location}).backup
    other = {"to": "s3://images/here", "s3": {**KEYS, "regionendpoint": "https://nas:9000"}}
    assert settings(**STORE, backup=other).backup


@pytest.mark.parametrize("value", [[], "s3://backups", 7])
def test_what_is_no_map_is_one_problem_with_a_command_that_works(value: object) -> None:
    message = problems(backup=value)
    assert message.startswith("One setting of stack prod is wrong")
    assert message.endswith("pulumi config rm --stack prod registry:backup")


def test_numbers_of_a_store_are_numbers_however_they_are_typed() -> None:
    given = {**KEYS, "secure": "false", "chunksize": "10485760"}
    chosen = settings(backup={"to": "s3://copies", "s3": given}).backup
    assert chosen
    assert chosen.location.storage["s3"] | {} == {
        **KEYS, "secure": False, "chunksize": 10485760, "bucket": "copies"
    }  # fmt: skip


def test_a_wrong_store_of_the_registry_is_no_second_problem() -> None:
    wrong = problems(config={"storage": {"s3": "images"}}, backup={"to": "s3://copies", "s3": KEYS})
    assert wrong.startswith("One setting of stack prod is wrong")


def test_a_folder_of_one_node_is_none_of_images_that_are_on_no_node() -> None:
    assert "registry:backup.to is on one node" in problems(**STORE, backup={"to": "/srv/backup"})
    shared = {"volumeOptions": {"type": "nfs", "o": "addr=nas", "device": ":/images"}}
    assert "registry:backup.to is on one node" in problems(**shared, backup={"to": "volume:copies"})


def test_keys_in_plain_text_are_refused() -> None:
    wrong = raw({**GOOD, "backup": {"to": "s3://backups", "s3": KEYS}})
    with pytest.raises(pulumi.RunError, match=r"backup\.s3\.secretkey is in plain text"):
        parse(wrong, lambda _: False, "prod")


def test_backups_without_a_schedule_are_no_service() -> None:
    options = BackupOptions(name="a", location=BackupLocation(source="a"))
    access: Any = StorageAccess
    with pytest.raises(ValueError, match="without a schedule"):
        Backup("backup", BackupArgs(stack=SwarmStack(name="a"), options=options, storage=access))
