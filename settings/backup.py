"""`registry:backup`: where the images are copied to, and when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from components.backup import BackupLocation, BackupOptions
from components.distribution.storage import DRIVERS, ROOT_DIRECTORY, drivers_in
from components.version import TOOLS_IMAGE
from settings.cron import CRON
from settings.kinds import Kind, Mebibytes, Number, WrongValueError
from settings.reader import Reader
from settings.values import Values

KEYS = ("to", "schedule", "keep", "memory", "s3")
S3 = DRIVERS["s3"]
OF_BUCKET = ("bucket", ROOT_DIRECTORY)
"""Parameters of an object store that the location itself names."""
_LOCATION = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[A-Za-z0-9._-]+)*)/?"
    r"|volume:(?P<volume>[A-Za-z0-9][A-Za-z0-9_.-]*)"
    r"|(?P<folder>(/[^/,\s]+)+)/?"
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
    lent = config["storage"]["s3"] or {} if drivers_in(config) == ["s3"] else {}
    return {name: lent[name] for name in lent if name not in OF_BUCKET} | dict(given)


def parse_backup(
    reader: Reader, config: Mapping[str, Any], image: str | None, domain: str
) -> BackupOptions | None:
    """Return the backups, by the tools `image`; None where there are none.

    `config` is the registry's, which is reached at `domain`. Notes in `reader` what is wrong.
    """
    reader.unshare("backup", "where one stack's backups are")
    values = reader.map_at("backup", reader.mapping("backup", "…"), KEYS) or {}
    if not reader.has("backup"):
        return None
    part = Values(reader, "backup", values)
    to = part.required("to", LOCATION, LOCATION.example(None))
    s3 = s3_parameters(config, _given(reader, values.get("s3", {})))
    if to.startswith("s3://") and "to" in values and not s3.get("region"):
        reader.problem("backup.s3.region", "is missing.", S3.required["region"], path=True)
    return BackupOptions(
        image=image or TOOLS_IMAGE,
        name=domain,
        location=location_of(to, s3),
        s3=s3,
        schedule=part.get("schedule", CRON, None),
        keep=part.get("keep", Number(1, 1000), BackupOptions.keep),
        memory_mib=part.get("memory", Mebibytes(128), BackupOptions.memory_mib),
    )


def check_node(reader: Reader, backup: BackupOptions | None, has_node_volume: bool) -> None:
    """Refuse a folder or volume where no node has the images: each run might use another one."""
    if backup and backup.location.source and not has_node_volume:
        reason = "is on one node, and the images are on none: it must be an object store."
        reader.problem("backup.to", reason, LOCATION.example(None), path=True)


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
    return {name: value for name, value in s3.items() if name not in OF_BUCKET}
