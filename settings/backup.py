"""`registry:backup`: where the images are copied to, and when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.backup import BackupLocation, BackupOptions
from components.distribution.storage import DRIVERS, ROOT_DIRECTORY, drivers_in
from components.version import TOOLS_IMAGE
from settings import rules
from settings.cron import CRON
from settings.kinds import Kind, Mebibytes, Number, WrongValueError
from settings.reader import Reader
from settings.registry_schema import check_amazon, conform_driver
from settings.storage import check_driver
from settings.values import Values

if TYPE_CHECKING:
    from settings import Settings

KEYS = ("to", "schedule", "keep", "memory", "s3")
S3 = DRIVERS["s3"]
OF_BUCKET = ("bucket", ROOT_DIRECTORY)
"""Parameters of an object store that the location itself names."""
_LOCATION = re.compile(
    r"(?!.*/\.{1,2}(/|$))"
    r"(s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[A-Za-z0-9._-]+)*)/?"
    rf"|volume:(?P<volume>{rules.VOLUME.pattern})"
    r"|(?P<folder>(/[^/,\s\x00-\x1f\x7f]+)+)/?)"
)


class _Location(Kind[str]):
    must = "s3://bucket/prefix, volume:name, or a folder of the images' node, such as /srv/backup"

    def parse(self, text: str) -> str:
        if not _LOCATION.fullmatch(text):
            raise WrongValueError(self.must)
        return text

    def example(self, default: str | None) -> str:
        return default or "s3://backups/registry"


LOCATION = _Location()


def location_of(text: str, s3: Mapping[str, Any]) -> BackupLocation:
    """Return the location that `text` names; `s3` has the parameters of object stores.

    Raises `WrongValueError` when it names none.
    """
    match = _LOCATION.fullmatch(text)
    if match is None:
        raise WrongValueError(LOCATION.must)
    if match["bucket"]:
        folder = {ROOT_DIRECTORY: match["prefix"]} if match["prefix"] else {}
        return BackupLocation(storage={"s3": {**s3, "bucket": match["bucket"], **folder}})
    return BackupLocation(source=match["volume"] or match["folder"])


def s3_parameters(config: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of object stores: the registry's, under those that are `given`."""
    lent = _parameters_of_images(config)
    return {name: lent[name] for name in lent if name not in OF_BUCKET} | dict(given)


def _parameters_of_images(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of the registry's object store; none where it has another storage."""
    parameters = config["storage"]["s3"] if drivers_in(config) == ["s3"] else {}
    return parameters if isinstance(parameters, Mapping) else {}


def wrong_with(location: BackupLocation, settings: Settings) -> str | None:
    """Return why backups of a stack can't be at a location; None where they can."""
    if location.source in settings.volumes.names:
        return "is a volume that the stack itself keeps data in, and a backup is elsewhere."
    if location.source and not settings.has_node_volume:
        # Each run might use another one.
        return "is on one node, and the images are on none: it must be an object store."
    ours = _parameters_of_images(settings.registry.config)
    theirs = location.storage.get("s3") or {}
    locations = [(S3.bucket_of(each), S3.address(each), _folder(each)) for each in (ours, theirs)]
    if ours and locations[0] == locations[1]:
        return "is where the images themselves are, and a backup is elsewhere."
    return None


def _folder(parameters: Mapping[str, Any]) -> str:
    return str(parameters.get(ROOT_DIRECTORY) or "").strip("/")


def parse_backup(
    reader: Reader, config: Mapping[str, Any], image: str | None, domain: str
) -> BackupOptions | None:
    """Return the backups, by the tools `image`; None where there are none.

    `config` is the registry's, which is reached at `domain`. Notes in `reader` what is wrong.
    """
    reader.unshare("backup", "where one stack's backups are")
    count = len(reader.problems)
    given = reader.mapping("backup", "…")
    if not reader.has("backup") or len(reader.problems) > count:
        return None
    values = reader.map_at("backup", given, KEYS) or {}
    part = Values(reader, "backup", values)
    to = part.required("to", LOCATION, "")
    store = _given(reader, values.get("s3", {}))
    s3 = s3_parameters(config, store)
    location = location_of(to, s3) if to else BackupLocation()
    # What it has from the registry alone is checked there.
    if location.storage and (store or not _parameters_of_images(config)):
        check_driver(reader, "backup.s3", S3, location.storage["s3"])
        check_amazon(reader, "backup.s3", location.storage["s3"])
    return BackupOptions(
        image=image or TOOLS_IMAGE,
        name=domain,
        location=location,
        s3=s3,
        schedule=part.get("schedule", CRON, None),
        keep=part.get("keep", Number(1, 1000), BackupOptions.keep),
        memory_mib=part.get("memory", Mebibytes(128), BackupOptions.memory_mib),
    )


def check_location(reader: Reader, settings: Settings) -> None:
    """Note in `reader` where backups can't be."""
    if settings.backup and (wrong := wrong_with(settings.backup.location, settings)):
        reader.problem("backup.to", wrong, LOCATION.example(None), path=True)


def _given(reader: Reader, s3: object) -> Mapping[str, Any]:
    """Return `registry:backup.s3`, which has to be a map with its secrets encrypted."""
    if not isinstance(s3, Mapping):
        reader.remove("backup.s3", "must be a map of the parameters of config.storage.s3.")
        return {}
    for name in set(OF_BUCKET) & set(s3):
        reader.remove(f"backup.s3.{name}", "is part of registry:backup.to.")
    for name in S3.secrets:
        if name in s3:
            reader.secret("backup", "s3", name)
    given = {name: value for name, value in s3.items() if name not in OF_BUCKET}
    return conform_driver(reader, "backup", "s3", given)
