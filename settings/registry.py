"""The registry itself: its tasks, and `registry:config`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.distribution.config import OWNED, owned_paths_in, value_at
from components.registry import RegistryOptions
from settings import rules
from settings.kinds import BOOLEAN, CORES, Mebibytes, Number
from settings.reader import Reader
from settings.registry_schema import conform
from settings.secrecy import secrets_in
from settings.storage import check_storage

DEFAULTS = RegistryOptions()


def parse_registry(reader: Reader) -> RegistryOptions:
    """Return what is chosen of the registry; note in `reader` what is wrong with it."""
    image = reader.get("image", rules.IMAGE, DEFAULTS.image)
    return RegistryOptions(
        image=image,
        replicas=reader.get("replicas", Number(1, 100), DEFAULTS.replicas),
        spread=reader.get("spread", rules.SPREAD),
        constraints=reader.names("constraints", rules.CONSTRAINT),
        memory_mib=reader.get("memory", Mebibytes(64), DEFAULTS.memory_mib),
        cpus=reader.get("cpus", CORES),
        drain_seconds=reader.get("drainSeconds", Number(10, 3600), DEFAULTS.drain_seconds),
        ca=reader.pem("storageCa", "CERTIFICATE"),
        read_only=reader.get("readOnly", BOOLEAN, DEFAULTS.read_only),
        config=_config(reader, image),
    )


def _config(reader: Reader, image: str) -> Mapping[str, Any]:
    config = reader.mapping("config", "info")
    reader.owned("config", owned_paths_in(config))
    config = conform(reader, config, lambda path: path not in OWNED, image)
    _check_debug(reader, config)
    if reader.has("readOnly") and value_at(config, "storage.maintenance.readonly") is not None:
        reader.remove(
            "config.storage.maintenance.readonly", "can't go with registry:readOnly, which sets it."
        )
    check_storage(reader, config)
    for path in secrets_in(config):
        reader.secret("config", *path)
    return config


def _check_debug(reader: Reader, config: Mapping[str, Any]) -> None:
    """Warn of a debug server that others on the shared network could reach."""
    address = value_at(config, "http.debug.addr")
    if isinstance(address, str) and not rules.LOOPBACK.admits(address):
        reader.warnings.append(
            f"registry:config.http.debug.addr is {address}: beside metrics it shows the registry's"
            " memory (pprof) to each container on the network. Where nobody asks for metrics, take"
            " it out, or let it be 127.0.0.1:5001."
        )
