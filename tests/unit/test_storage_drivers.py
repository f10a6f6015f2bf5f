"""The table of storage drivers, and what is made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.distribution.bucket import _address
from components.distribution.storage import DRIVERS, SECRET_PARAMETERS, driver_defaults
from components.swarm.location import IMAGES, object_store
from settings.registry_schema import SCHEMA_FILE
from settings.way_back import way_back

COMMAND = "pulumi config set --path registry:config.storage"


@pytest.mark.parametrize("name", DRIVERS)
def test_each_parameter_of_the_table_is_one_of_the_driver(name: str) -> None:
    driver = DRIVERS[name]
    schema = json.loads(SCHEMA_FILE.read_text())["properties"]["storage"]["properties"][name]
    named = {*driver.required, *driver.secrets, *driver.joint, driver.account, driver.endpoint}
    if name != "filesystem":
        named.add(driver.bucket)
    # The schema leaves some open.
    assert schema.get("additionalProperties") or named - {None} <= set(schema["properties"])
    assert set(driver.secrets) <= SECRET_PARAMETERS


@pytest.mark.parametrize(
    ("driver", "parameters", "url"),
    [
        ("s3", {"bucket": "a", "region": "r"}, "https://a.s3.r.amazonaws.com/"),
        ("s3", {"bucket": "a", "regionendpoint": "store:9000/"}, "https://store:9000/a"),
        ("s3", {"bucket": "a", "regionendpoint": "http://store"}, "http://store/a"),
        ("gcs", {"bucket": "a"}, "https://storage.googleapis.com/a"),
        ("azure", {"container": "a"}, None),
        ("filesystem", None, None),
        ("of-another-image", {"bucket": "a"}, None),
    ],
)
def test_a_buckets_address_is_known_without_its_keys(
    driver: str, parameters: dict[str, Any] | None, url: str | None
) -> None:
    assert _address({"storage": {driver: parameters, "cache": {}}}) == url


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [(None, "default_credentials"), ({"accountkey": "x"}, "shared_key")],
)
def test_azure_gets_the_kind_of_its_credentials(
    parameters: dict[str, Any] | None, kind: str
) -> None:
    defaults = driver_defaults({"storage": {"azure": parameters}})
    assert defaults == {"azure": {"credentials": {"type": kind}}}
    assert driver_defaults({"storage": {"s3": {}}}) == {}


AZURE = {"accountname": "tests", "container": "images", "rootdirectory": "/prod"}


@pytest.mark.parametrize(
    ("old", "new", "commands"),
    [
        (
            ("azure", AZURE),
            ("s3", {"bucket": "images"}),
            [".azure.container images", ".azure.accountname tests", ".azure.rootdirectory prod"],
        ),
        (
            ("azure", AZURE | {"serviceurl": "http://store"}),
            ("azure", {"container": "images", "accountname": "other", "rootdirectory": "prod"}),
            [".azure.accountname tests", ".azure.serviceurl http://store"],
        ),
        (
            ("azure", {"container": "images", "serviceurl": "http://store"}),
            ("azure", {"container": "other", "serviceurl": "http://store"}),
            [".azure.container images"],
        ),
        (
            ("s3", {"bucket": "images", "regionendpoint": "http://store"}),
            ("s3", {"bucket": "images", "regionendpoint": "http://other"}),
            [".s3.regionendpoint http://store"],
        ),
    ],
)
def test_the_way_back_to_an_object_store_names_the_drivers_own_parameters(
    old: tuple[str, dict[str, str]], new: tuple[str, dict[str, str]], commands: list[str]
) -> None:
    before, after = (object_store(*each).remembered("cluster") for each in (old, new))
    lines = [line for line in way_back(before, after, IMAGES) if " set " in line]
    assert lines == [f"{COMMAND}{command}" for command in commands]
