"""The registry's storage drivers, and what this program knows of each.

Names: "Storage" in distribution's documentation, 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FILESYSTEM = "filesystem"
ROOT_DIRECTORY = "rootdirectory"
"""Parameter of each driver: the folder that everything is in."""
_OPTIONS = frozenset({"cache", "delete", "maintenance", "redirect", "tag"})
"""Keys of `storage` that aren't a driver's name."""


def _unknown(_: Mapping[str, Any]) -> str | None:
    return None


def _s3_url(parameters: Mapping[str, Any]) -> str:
    bucket, endpoint = parameters.get("bucket"), parameters.get("regionendpoint")
    if not endpoint:
        return f"https://{bucket}.s3.{parameters.get('region')}.amazonaws.com/"
    base = endpoint if "://" in endpoint else f"https://{endpoint}"
    return f"{base.rstrip('/')}/{bucket}"


def _gcs_url(parameters: Mapping[str, Any]) -> str:
    return f"https://storage.googleapis.com/{parameters.get('bucket')}"


@dataclass(frozen=True, kw_only=True)
class StorageDriver:
    """Parameters of a storage driver, which stand under `config.storage.NAME`."""

    required: Mapping[str, str]
    """Parameters that it can't do without, each with an example."""
    secrets: tuple[str, ...] = ()
    """Parameters, some of them maps, that mustn't be in plain text; the usual one first.

    Without them the driver takes the identity of the machine that it runs on."""
    joint: tuple[str, ...] = ()
    """Parameters that are all set or all left out."""
    bucket: str = "bucket"
    """Parameter with the name of the bucket."""
    endpoint: str | None = None
    """Parameter with the address of the store; None where it is always the vendor's own."""
    account: str | None = None
    """Parameter with the account that the bucket is in; None where its name alone identifies it."""
    bucket_url: Callable[[Mapping[str, Any]], str | None] = _unknown
    """Return the bucket's address from the parameters; None where it isn't known without a key."""

    def bucket_of(self, parameters: Mapping[str, Any]) -> str:
        """Return the name of the bucket."""
        return str(parameters.get(self.bucket) or "")

    def address(self, parameters: Mapping[str, Any]) -> str:
        """Return account and endpoint, as far as `parameters` have them, with a space between."""
        names = (self.account, self.endpoint)
        parts = [str(parameters.get(name) or "").rstrip("/") for name in names if name]
        return " ".join(filter(None, parts))

    def location_parameters(self, bucket: str, address: str, folder: str) -> dict[str, str]:
        """Return the parameters that name a location; `address` is that of `address`.

        Those that the location doesn't have are empty.
        """
        parts = address.split(" ")
        parameters = {self.bucket: bucket}
        if self.account:
            is_account = not ("://" in parts[0] and len(parts) == 1)
            parameters[self.account] = parts.pop(0) if is_account else ""
        if self.endpoint:
            parameters[self.endpoint] = " ".join(parts)
        return parameters | {ROOT_DIRECTORY: folder}


DRIVERS: Mapping[str, StorageDriver] = {
    FILESYSTEM: StorageDriver(required={}),
    "s3": StorageDriver(
        required={"bucket": "images", "region": "eu-central-1"},
        secrets=("secretkey", "sessiontoken"),
        joint=("accesskey", "secretkey"),
        endpoint="regionendpoint",
        bucket_url=_s3_url,
    ),
    "gcs": StorageDriver(
        required={"bucket": "images"}, secrets=("credentials",), bucket_url=_gcs_url
    ),
    "azure": StorageDriver(
        required={"accountname": "images", "container": "images"},
        secrets=("accountkey", "connectionstring", "credentials"),
        bucket="container",
        endpoint="serviceurl",
        account="accountname",
    ),
}
"""Drivers of the registry, by name."""
_OTHER = StorageDriver(required={}, endpoint="regionendpoint")
SECRET_PARAMETERS = frozenset(name for driver in DRIVERS.values() for name in driver.secrets)
"""Parameters of any driver that mustn't be shown."""


def driver_named(name: str) -> StorageDriver:
    """Return the driver of this name; of one that an image of one's own has, the usual names."""
    return DRIVERS.get(name, _OTHER)


def drivers_in(config: Mapping[str, Any]) -> list[str]:
    """Return the storage drivers that `config` names; the registry takes exactly one."""
    storage = config.get("storage")
    return sorted(set(storage) - _OPTIONS) if isinstance(storage, Mapping) else []


def keeps_files(config: Mapping[str, Any]) -> bool:
    """Return whether images are files on a volume, rather than objects in a store elsewhere."""
    return drivers_in(config) in ([], [FILESYSTEM])


def driver_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters, by driver, that go below those of `config`."""
    if "azure" not in drivers_in(config):
        return {}
    # Since 3.0 the driver refuses to start ("invalid credentials type") without a kind.
    key = "accountkey" in (config["storage"]["azure"] or {})
    kind = "shared_key" if key else "default_credentials"
    return {"azure": {"credentials": {"type": kind}}}
