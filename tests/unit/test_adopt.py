"""What a plan takes over of a registry that runs."""

from __future__ import annotations

import pytest

from components.distribution.config import OWNED
from ops.adopt.original import (
    Mount,
)
from ops.adopt.plan import overlaid

from .shared_adopt import (
    FILE,
    LABELS,
    config,
    planned,
)

ROUTER = "traefik.http.routers.app-https"


def test_route_and_volume_are_read_off_what_runs() -> None:
    made = planned()
    assert made.values == {
        "registry:stackName": "app",
        "registry:proxy": "none",
        "registry:domain": "r.example.com",
        "registry:traefikTag": "app",
        "registry:https": "acme",
        "registry:certResolver": "letsencrypt",
        "registry:httpsEntryPoint": "websecure",
        "registry:entryPoint": "web",
        "registry:redirectMiddleware": "to-https-redirect",
        "registry:network": "web",
        "registry:networkLabel": "traefik.docker.network",
        "registry:constraintLabel": "traefik.constraint-label",
        "registry:publicTag": "public",
        "registry:volumeName": "app_data",
        "registry:volumeNode": "dog",
    }
    made.check()
    assert made.in_place


def test_a_resolver_alone_asks_for_tls_as_well() -> None:
    labels = {key: value for key, value in LABELS.items() if key != f"{ROUTER}.tls"}
    assert planned({"labels": labels}).values["registry:https"] == "acme"


def test_without_tls_it_stays_plain_http() -> None:
    plain = {key: value for key, value in LABELS.items() if "https" not in key}
    values = planned({"labels": plain}).values
    assert values["registry:https"] == "none"
    assert "registry:certResolver" not in values


@pytest.mark.parametrize("path", OWNED)
def test_settings_that_the_program_owns_are_left_out_with_a_reason(path: str) -> None:
    value = "filesystem" if path == "auth" else "x"
    configuration = config({f"REGISTRY_{path.upper().replace('.', '_')}": value})
    assert overlaid({}, configuration.config) == {}
    silent = ("version", "auth", "http.addr", "storage.filesystem.rootdirectory")
    assert (path in configuration.left_out) is (path not in silent) or configuration.obstacles


def test_settings_that_no_registry_3_knows_are_left_out() -> None:
    configuration = config({"REGISTRY_COMPATIBILITY_SCHEMA1_ENABLED": "true"})
    assert configuration.config == {}
    assert configuration.left_out == {"compatibility": "no registry 3 knows it"}


def test_variables_of_2_8_have_their_types() -> None:
    configuration = config(
        {
            "REGISTRY_STORAGE": "filesystem",
            "REGISTRY_STORAGE_DELETE_ENABLED": "true",
            "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "redis",
            "REGISTRY_REDIS_ADDR": "redis:6379",
            "REGISTRY_REDIS_PASSWORD": "0123",
            "REGISTRY_REDIS_POOL_MAXIDLE": "16",
            "REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin": "['https://ui.example.com']",
            "REGISTRY_LOG_LEVEL": "debug",
            "REGISTRY_HTTP_SECRET": "x",
            "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_NAME": "007",
            "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_THRESHOLD": "5",
            "REGISTRY_CONFIGURATION_PATH": "/etc/x.yml",
        }
    )
    assert configuration.config == {
        "storage": {"delete": {"enabled": True}},
        "http": {"headers": {"access-control-allow-origin": ["https://ui.example.com"]}},
        "log": {"level": "debug"},
        "notifications": {"endpoints": [{"name": "007", "threshold": 5}]},
    }
    assert set(configuration.left_out) == {
        "http.secret",
        "redis",
        "storage.cache.blobdescriptor: redis",
    }
    assert not configuration.obstacles
    assert "0123" not in str(configuration)


OFFICIAL = """
version: 0.1
log: {fields: {service: registry}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/registry}
http:
  addr: :5000
  headers: {X-Content-Type-Options: [nosniff]}
health: {storagedriver: {enabled: true, interval: 10s, threshold: 3}}
"""


def test_the_file_of_the_official_image_sets_nothing() -> None:
    configuration = config(files={FILE.target: OFFICIAL})
    assert (configuration.config, configuration.left_out, configuration.obstacles) == ({}, {}, [])


def test_a_file_is_read_and_variables_override_it() -> None:
    text = """
version: 0.1
storage:
  filesystem: {rootdirectory: /data, maxthreads: 50}
  delete: {enabled: yes}
log: {level: warn}
http: {addr: ":5000", draintimeout: 5s, host: "https://r.example.com"}
"""
    changes = {
        "mounts": [Mount("volume", "app_data", "/data/"), FILE],
        "variables": {"REGISTRY_LOG_LEVEL": "error"},
    }
    made = planned(changes, {FILE.target: text})
    assert made.values["registry:config"] == {
        "storage": {"filesystem": {"maxthreads": 50}, "delete": {"enabled": True}},
        "log": {"level": "error"},
        "http": {"host": "https://r.example.com"},
    }
    assert made.values["registry:volumeName"] == "app_data"
    assert list(made.files) == [FILE.target]
    assert made.left_out == {"http.draintimeout": "this program decides it"}
    made.check()


def test_images_in_an_object_store_stay_there() -> None:
    text = """
version: 0.1
storage: {s3: {bucket: images, region: eu-west-1, accesskey: AKIA, secretkey: hunter2hunter2}}
"""
    made = planned({"mounts": [FILE], "replicas": 3}, {FILE.target: text})
    assert made.volume is None
    assert "registry:volumeNode" not in made.values
    assert made.values["registry:replicas"] == "3"
    made.check()
    secret = [each for each in made.settings if each.is_secret]
    assert [each.path for each in secret] == ["registry:config.storage.s3.secretkey"]
