"""The registry's configuration: what its own types take, and what is refused in the preview."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from settings import parse
from settings.registry_schema import SCHEMA_FILE
from settings.schema import DURATION
from testing.go_tests import NEEDS_GO
from tests.schema import made_anew

GOOD = {"registry:stackName": "registry-com", "registry:domain": "registry.example.com"}
AT_AMAZON = {"bucket": "images", "region": "eu-central-1"}


def config_of(config: Any) -> Any:
    values = GOOD | {"registry:config": json.dumps(config)}
    return parse(values, lambda _: False, "prod").registry.config


@pytest.mark.timeout(600)
@NEEDS_GO
def test_the_schema_is_that_of_the_pinned_registry() -> None:
    assert json.loads(made_anew()) == json.loads(SCHEMA_FILE.read_text())


# Path that the error must name, what it must say of it, and the configuration.
WRONG: list[tuple[str, str, Any]] = [
    ("loging", "Did you mean log", {"loging": {}}),
    ("http.header", "Did you mean headers", {"http": {"header": {}}}),
    ("log.acceslog", "Did you mean accesslog", {"log": {"acceslog": {}}}),
    ("storage.swift", "s3", {"storage": {"swift": {}}}),
    (
        "storage.s3.bukket",
        "bucket",
        {"storage": {"s3": {"bucket": "b", "region": "eu-central-1", "bukket": 1}}},
    ),
    (
        "storage.s3.region",
        "Did you mean eu-central-1?",
        {"storage": {"s3": AT_AMAZON | {"region": "eu-centrall-1"}}},
    ),
    (
        "storage.s3.v4auth",
        "Amazon takes",
        {"storage": {"s3": AT_AMAZON | {"v4auth": False}}},
    ),
    (
        "storage.s3.chunksize",
        "from 5242880 to 5368709120",
        {"storage": {"s3": AT_AMAZON | {"chunksize": 1048576}}},
    ),
    (
        "storage.s3.multipartcopymaxconcurrency",
        "from 1 on",
        {"storage": {"s3": AT_AMAZON | {"multipartcopymaxconcurrency": 0}}},
    ),
    (
        "storage.s3.storageclass",
        "one of NONE, STANDARD,",
        {"storage": {"s3": AT_AMAZON | {"storageclass": "GLACIER"}}},
    ),
    ("storage.s3.objectacl", "one of", {"storage": {"s3": AT_AMAZON | {"objectacl": "secret"}}}),
    (
        "storage.s3.redirectendpoint",
        "without a path",
        {"storage": {"s3": AT_AMAZON | {"redirectendpoint": "https://cdn.example.com/v1"}}},
    ),
    (
        "storage.gcs.chunksize",
        "multiple of 262144",
        {"storage": {"gcs": {"bucket": "images", "chunksize": 300000}}},
    ),
    ("storage", "no value", {"storage": None}),
    ("http", "no value", {"http": None}),
    ("health", "no value", {"health": None}),
    ("log.level", "no value", {"log": {"level": None}}),
    ("http.headers.X-A[0]", "no value", {"http": {"headers": {"X-A": [None]}}}),
    ("storage", "a map", {"storage": "s3"}),
    ("storage.s3", "a map", {"storage": {"s3": "images"}}),
    ("log", "a map", {"log": ["info"]}),
    ("http.headers.X-A", "a list", {"http": {"headers": {"X-A": "*"}}}),
    ("http.headers.X-A[0]", "a text", {"http": {"headers": {"X-A": [True]}}}),
    ("redis.addrs", "a list", {"redis": {"addrs": "redis:6379"}}),
    ("storage.delete.enabled", "true or false", {"storage": {"delete": {"enabled": "yes"}}}),
    ("storage.delete.enabled", "true or false", {"storage": {"delete": {"enabled": 1}}}),
    ("storage.redirect.disable", "is missing", {"storage": {"redirect": {}}}),
    ("storage.tag.concurrencylimit", "from 0 on", {"storage": {"tag": {"concurrencylimit": -1}}}),
    (
        "storage.cache.blobdescriptor",
        "registry:cache redis",
        {"storage": {"cache": {"blobdescriptor": "redis"}}},
    ),
    ("log.level", "one of", {"log": {"level": "loud"}}),
    ("log.formatter", "one of", {"log": {"formatter": "xml"}}),
    ("health.storagedriver.interval", "unit", {"health": {"storagedriver": {"interval": 10}}}),
    ("health.storagedriver.interval", "unit", {"health": {"storagedriver": {"interval": "10"}}}),
    ("tags.maxtags", "whole number", {"tags": {"maxtags": "many"}}),
    ("tags.maxtags", "whole number", {"tags": {"maxtags": True}}),
    ("redis.db", "whole number", {"redis": {"db": 1.5}}),
    ("http.debug.addr", "with its port", {"http": {"debug": {"addr": "localhost"}}}),
    (
        "http.debug.prometheus.path",
        "a path",
        {"http": {"debug": {"prometheus": {"enabled": True, "path": "metrics"}}}},
    ),
    (
        "health.tcp[1]",
        "another check",
        {"health": {"tcp": [{"addr": "redis:6379"}, {"addr": "redis:6379", "interval": "5s"}]}},
    ),
    (
        "storage.maintenance.uploadpurging.age",
        "is missing",
        {"storage": {"maintenance": {"uploadpurging": {"interval": "1h", "dryrun": False}}}},
    ),
]


@pytest.mark.parametrize(("path", "problem", "config"), WRONG, ids=lambda value: str(value)[:60])
def test_what_the_registry_would_not_take_is_one_line_of_its_own(
    path: str, problem: str, config: Any
) -> None:
    with pytest.raises(pulumi.RunError) as raised:
        config_of(config)
    message = str(raised.value)
    assert message.startswith("One setting of stack prod is wrong"), message
    line = next(line for line in message.splitlines() if line.startswith("  - "))
    assert line.startswith(f"  - registry:config.{path} ")
    assert problem in line
    assert "pulumi config " in message


@pytest.mark.parametrize("address", [":5001", "0.0.0.0:5001", "10.0.0.1:5001"])
def test_a_debug_server_that_others_reach_is_a_warning(address: str) -> None:
    config = {"registry:config": json.dumps({"http": {"debug": {"addr": address}}})}
    (warning,) = parse(GOOD | config, lambda _: False, "prod").warnings
    assert "pprof" in warning


@pytest.mark.parametrize("address", ["127.0.0.1:5001", "localhost:5001", "[::1]:5001"])
def test_a_debug_server_on_loopback_is_no_warning(address: str) -> None:
    config = {"registry:config": json.dumps({"http": {"debug": {"addr": address}}})}
    assert parse(GOOD | config, lambda _: False, "prod").warnings == ()


# As a secret, in quotes or with --type string on the left; as the registry needs it on the right.
CONVERTED: list[tuple[Any, Any]] = [
    ({"storage": {"delete": {"enabled": "true"}}}, {"storage": {"delete": {"enabled": True}}}),
    (
        {"storage": {"maintenance": {"readonly": {"enabled": "false"}}}},
        {"storage": {"maintenance": {"readonly": {"enabled": False}}}},
    ),
    ({"log": {"level": "INFO"}}, {"log": {"level": "info"}}),
    (
        {"storage": {"s3": AT_AMAZON | {"storageclass": "standard_ia", "chunksize": "5242880"}}},
        {"storage": {"s3": AT_AMAZON | {"storageclass": "STANDARD_IA", "chunksize": 5242880}}},
    ),
    ({"redis": {"db": "5"}}, {"redis": {"db": 5}}),
    ({"redis": {"maxretries": "-1"}}, {"redis": {"maxretries": -1}}),
    ({"redis": {"username": 12345}}, {"redis": {"username": "12345"}}),
    ({"http": {"headers": {"X-A": [1]}}}, {"http": {"headers": {"X-A": ["1"]}}}),
]


@pytest.mark.parametrize(("config", "converted"), CONVERTED, ids=str)
def test_a_value_of_another_form_becomes_what_the_registry_needs(
    config: Any, converted: Any
) -> None:
    # As text, for 1 == True.
    assert json.dumps(config_of(config)) == json.dumps(converted)


def test_the_kind_of_azures_credentials_is_one_of_three_and_is_not_shown() -> None:
    azure = {"accountname": "a", "container": "images", "credentials": {"type": "hunter2"}}
    values = GOOD | {"registry:config": json.dumps({"storage": {"azure": azure}})}
    with pytest.raises(pulumi.RunError) as raised:
        parse(values, lambda _: True, "prod")
    assert "config.storage.azure.credentials.type is [secret]: it must be one of" in str(
        raised.value
    )
    assert "hunter2" not in str(raised.value)


def test_another_store_has_regions_of_its_own() -> None:
    s3: dict[str, Any] = {
        "bucket": "images",
        "region": "garage",
        "regionendpoint": "https://store.example.com",
        "v4auth": False,
    }
    assert config_of({"storage": {"s3": s3}})["storage"]["s3"] == s3


def test_what_the_registry_takes_stays_as_it_is() -> None:
    config = {
        "log": {"level": "warn", "fields": {"service": "registry", "number": 3}},
        "storage": {
            "cache": {"blobdescriptor": "inmemory", "blobdescriptorsize": 1000},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "middleware": {"repository": [{"name": "any", "options": {"deep": [1, {"a": True}]}}]},
        "health": {"storagedriver": {"interval": "1h30m", "threshold": 3}},
        "notifications": {
            "endpoints": [{"name": "a", "url": "https://a.example.com", "backoff": "0.5s"}]
        },
    }
    assert config_of(config) == config


@pytest.mark.parametrize("text", ["0", "10s", "1.5h", ".5s", "1h30m", "10ms", "3µs"])
def test_a_duration_is_what_go_reads(text: str) -> None:
    assert DURATION.fullmatch(text)


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "1d", "-1s", "1e3s", ".s", "1h 30m"])
def test_what_go_does_not_read_is_no_duration(text: str) -> None:
    assert not DURATION.fullmatch(text)


def test_an_option_that_another_version_may_have_is_a_warning() -> None:
    values = {"registry:config": json.dumps({"log": {"colour": "red"}})}
    values |= {"registry:image": "registry:4.0.0"}
    settings = parse(GOOD | values, lambda _: False, "prod")
    assert "registry:config.log.colour isn't checked" in "\n".join(settings.warnings)
    assert settings.registry.config == {"log": {"colour": "red"}}
