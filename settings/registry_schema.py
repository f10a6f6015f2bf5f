"""Checks `registry:config` against the schema of the registry's own configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from components.distribution.config import REGISTRY_IMAGE, value_at
from components.swarm.pull_login import is_version_of
from settings import schema
from settings.reader import Reader, close_to
from settings.schema import Program

SCHEMA_FILE = Path(__file__).parent / "registry_schema.json"
_ADDRESS = re.compile(r"([A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\]):[0-9]{1,5}")
_METRICS_PATH = re.compile(r"/(?!debug(/|$))[A-Za-z0-9_./-]*")


@cache
def _schema() -> Mapping[str, Any]:
    whole: Mapping[str, Any] = json.loads(SCHEMA_FILE.read_text())
    return whole


def _drivers() -> Mapping[str, Any]:
    """Return the schemas of the storage drivers' parameters, and of what else is beside them."""
    drivers: Mapping[str, Any] = _schema()["properties"]["storage"]["properties"]
    return drivers


def conform(
    reader: Reader, config: Mapping[str, Any], is_checked: Callable[[str], bool], image: str
) -> Mapping[str, Any]:
    """Return `config` with the types that the registry takes; note in `reader` what has none.

    Dotted paths that `is_checked` declines stay as they are. `image` is the registry's.
    """
    program = Program(
        key="config",
        name="the registry",
        schema=_schema(),
        is_checked=is_checked,
        is_known_version=is_version_of(image, REGISTRY_IMAGE),
    )
    before = len(reader.problems)
    config = schema.conform(reader, config, program)
    if len(reader.problems) == before:
        if program.is_known_version:
            check_amazon(reader, "config.storage.s3", value_at(config, "storage.s3") or {})
        _check_debug_server(reader, config)
        _check_health(reader, config)
    return config


def conform_driver(
    reader: Reader, key: str, driver: str, parameters: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Do the same with the parameters of a storage driver, which are below `key`."""
    program = Program(
        key=key,
        name="the storage driver",
        schema={"type": "object", "properties": {driver: _drivers()[driver]}},
        is_checked=lambda _: True,
    )
    conformed: Mapping[str, Any] = schema.conform(reader, {driver: parameters}, program)[driver]
    return conformed


def check_amazon(reader: Reader, path: str, parameters: Mapping[str, Any]) -> None:
    """Note what S3's `parameters`, at `path`, have that Amazon hasn't; the driver would end.

    Nothing where an endpoint names another store.
    """
    endpoint = str(parameters.get("regionendpoint") or "")
    if parameters.get("v4auth") is False and (not endpoint or "s3.amazonaws.com" in endpoint):
        reader.remove(f"{path}.v4auth", "is false: Amazon takes version 4 of its signatures alone.")
    regions = _drivers()["s3"]["then"]["properties"]["region"]["enum"]
    region = parameters.get("region")
    if not endpoint and isinstance(region, str) and region and region not in regions:
        reason = (
            f"is {reader.shown(path, region)}: it must be a region of Amazon's, unless"
            f" registry:{path}.regionendpoint names another store.{close_to(region, regions)}"
        )
        reader.problem(f"{path}.region", reason, "eu-central-1", path=True)


def _check_debug_server(reader: Reader, config: Mapping[str, Any]) -> None:
    """Note what the registry couldn't listen at; it would end."""
    address = value_at(config, "http.debug.addr")
    if address and not _ADDRESS.fullmatch(address):
        reason = f"is {reader.shown('config', address)}: it must be an address with its port."
        reader.problem("config.http.debug.addr", reason, "127.0.0.1:5001", path=True)
    path = value_at(config, "http.debug.prometheus.path")
    if path and not _METRICS_PATH.fullmatch(path):
        reason = f"is {reader.shown('config', path)}: it must be a path, and not below /debug."
        reader.problem("config.http.debug.prometheus.path", reason, "/metrics", path=True)


def _check_health(reader: Reader, config: Mapping[str, Any]) -> None:
    """Note what is checked twice, by whatever kind of check; the registry would end."""
    names: set[str] = set()
    for kind, part in (("file", "file"), ("http", "uri"), ("tcp", "addr")):
        for index, check in enumerate(value_at(config, f"health.{kind}") or ()):
            name = check.get(part, "")
            if name in names:
                reason = f"checks {reader.shown('config', name)}, as another check does."
                reader.remove(f"config.health.{kind}[{index}]", reason)
            names.add(name)
