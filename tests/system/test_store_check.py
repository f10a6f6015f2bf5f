"""`make doctor` before anything is deployed: what the real registry makes of an object store."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from testing.project import Result
from testing.site import SwarmUnderTest
from testing.store import BUCKET, REGION, Store

NAME = "tried"
WRONG_KEY = "not-the-key-of-this-store"


@pytest.fixture(scope="module")
def store(site: SwarmUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(site.swarm, tmp_path_factory.mktemp("store"))
    yield store
    store.end()


@pytest.fixture(scope="module", autouse=True)
def _stack(site: SwarmUnderTest) -> None:
    site.project.init(NAME, {"registry:stackName": NAME, "registry:domain": "tried.example.com"})


def tried(
    site: SwarmUnderTest, driver: str, parameters: dict[str, object], ca_file: Path | None
) -> Result:
    """Run `make doctor` with that storage; nothing of the trial may stay."""
    project = site.project
    file = project.folder / f"Pulumi.{NAME}.yaml"
    settings = yaml.safe_load(file.read_text())
    for key in ("registry:config", "registry:storageCa"):
        settings["config"].pop(key, None)
    file.write_text(yaml.safe_dump(settings))
    # All of it as a secret: what may be seen and what may not is for other tests.
    config = json.dumps({"storage": {driver: parameters}})
    project.set(NAME, "registry:config", config, "--secret")
    if ca_file:
        project.set(NAME, "registry:storageCa", str(ca_file))
    result = site.make("doctor", f"STACK={NAME}")
    assert site.swarm.docker(site.swarm.nodes[0], "ps", "--all", "--quiet") == ""
    return result


def s3(store: Store, **changes: object) -> dict[str, object]:
    """Return the parameters of that store."""
    good: dict[str, object] = {
        "bucket": BUCKET,
        "region": REGION,
        "regionendpoint": store.endpoint,
        "forcepathstyle": True,
        "accesskey": store.access_key,
        "secretkey": store.secret_key,
    }
    return good | changes


def test_a_store_that_can_be_used_is_told_from_one_that_is_not_deployed_to(
    site: SwarmUnderTest, store: Store
) -> None:
    result = tried(site, "s3", s3(store), store.root_file)
    assert result.code == 0, result.text
    assert f"s3: {BUCKET} at {store.endpoint} can be written to" in result.text
    assert f"make deploy STACK={NAME}" in result.text
    # An upload was begun, which the registry purges later, and nothing else.
    left = [str(path) for path in store.bucket.rglob("*") if path.is_file()]
    assert all("registry-doctor/_uploads" in path for path in left)


@pytest.mark.parametrize(
    ("changes", "trusted", "message"),
    [
        ({"bucket": "imags"}, True, "imags doesn't exist at https://"),
        ({"secretkey": WRONG_KEY}, True, "refuses these credentials"),
        ({"accesskey": "nobody"}, True, "refuses these credentials"),
        ({}, False, "registry:storageCa"),
    ],
    ids=["missing bucket", "wrong secret key", "unknown access key", "unknown CA"],
)
def test_what_is_wrong_with_a_store_is_one_line(
    site: SwarmUnderTest, store: Store, changes: dict[str, object], trusted: bool, message: str
) -> None:
    result = tried(site, "s3", s3(store, **changes), store.root_file if trusted else None)
    assert result.code != 0
    assert [line for line in result.text.splitlines() if message in line], result.text
    assert result.text.count("  wrong ") == 1
    assert "Traceback" not in result.text
    for secret in (store.secret_key, WRONG_KEY):
        assert secret not in result.text


def test_a_store_where_nobody_answers_is_named(site: SwarmUnderTest, store: Store) -> None:
    parameters = s3(store, regionendpoint=store.endpoint.replace(":7070", ":7071"))
    result = tried(site, "s3", parameters, store.root_file)
    assert result.code != 0
    assert "nobody answers for https://" in result.text


def account() -> dict[str, object]:
    """Return a service account of Google's, as its file has it, with a key of this test's own."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "type": "service_account",
        "project_id": "tests",
        "private_key_id": "0",
        "private_key": text,
        "client_email": "registry@tests.iam.gserviceaccount.com",
        "client_id": "0",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


AZURE: dict[str, object] = {
    "accountname": "tests",
    "accountkey": base64.b64encode(b"k" * 64).decode(),
    "container": "images",
}


def test_gcs_is_configured_up_to_its_first_contact(site: SwarmUnderTest) -> None:
    result = tried(site, "gcs", {"bucket": "images", "credentials": account()}, None)
    assert "nobody answers for gcs" in result.text, result.text
    assert "googleapis.com" in result.text


def test_azure_is_configured_up_to_its_first_contact(site: SwarmUnderTest) -> None:
    result = tried(site, "azure", AZURE, None)
    assert "nobody answers for tests" in result.text, result.text
    assert "blob.core.windows.net" in result.text


@pytest.mark.parametrize(
    ("driver", "parameters"),
    [
        ("gcs", {"bucket": "images", "credentials": account() | {"private_key": "none"}}),
        ("azure", {key: value for key, value in AZURE.items() if key != "container"}),
    ],
    ids=["gcs", "azure"],
)
def test_what_is_no_configuration_is_told_from_that(
    site: SwarmUnderTest, driver: str, parameters: dict[str, object]
) -> None:
    result = tried(site, driver, parameters, None)
    assert result.code != 0
    assert "nobody answers" not in result.text
    assert "  wrong " in result.text
