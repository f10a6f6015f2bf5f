"""`registry:gc`: its settings, its service, and what it changes of the registry."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components import GarbageCollectionOptions
from components.distribution.config import CA_FILE, CONFIG_PATH
from components.version import TOOLS_IMAGE
from ops.documentation import reference
from settings import Settings, parse
from settings.gc import KEYS

from .conftest import Deploy
from .program import raw
from .shared_collection import collect
from .shared_components import config_of, registry

GOOD = {"stackName": "images-com", "domain": "images.example.com"}


def settings(**values: Any) -> Settings:
    return parse(raw({**GOOD, **values}), lambda _: False, "prod")


def problems(**values: Any) -> list[str]:
    """Return the lines of the one error; the first says how many they are."""
    with pytest.raises(pulumi.RunError) as wrong:
        settings(**values)
    return str(wrong.value).splitlines()[1:]


def test_there_is_none_unless_it_is_asked_for() -> None:
    assert settings().gc is None
    assert "gc" not in settings().images
    # Without a schedule there is no service: it runs when somebody asks.
    asked = settings(gc={"grace": "48h"})
    assert asked.gc == GarbageCollectionOptions(grace="48h")
    assert "gc" not in asked.images


def test_all_of_it_can_be_chosen() -> None:
    values = {"schedule": "0 4 * * *", "grace": "2h", "trash": "0h", "untagged": True}
    chosen = settings(gc={**values, "memory": "1GiB"}, toolsImage="ghcr.io/acme/tools:1")
    assert chosen.gc == GarbageCollectionOptions(
        image="ghcr.io/acme/tools:1",
        schedule="0 4 * * *",
        grace="2h",
        trash="0h",
        untagged=True,
        memory_mib=1024,
    )
    assert chosen.images["gc"] == "ghcr.io/acme/tools:1"
    assert settings(gc={"untagged": "true"}).gc == GarbageCollectionOptions(untagged=True)
    assert settings(gc={"schedule": "0 4 * * *"}).images["gc"] == TOOLS_IMAGE


def test_images_built_on_one_engine_are_not_pulled() -> None:
    chosen = settings(gc={"schedule": "0 4 * * *"})
    assert "gc" not in chosen.pulled_images
    assert chosen.with_images({"gc": "other:1"}).images["gc"] == "other:1"
    named = settings(gc={"schedule": "0 4 * * *"}, toolsImage="ghcr.io/acme/tools:1")
    assert "gc" in named.pulled_images


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"grace": "30m"}, "registry:gc.grace is '30m': it must be 1h or more"),
        ({"grace": "1d"}, "registry:gc.grace is '1d': it must be a whole number and s, m or h"),
        ({"trash": 7}, "registry:gc.trash is 7: it must be a whole number and s, m or h"),
        ({"untagged": "yes"}, "registry:gc.untagged is 'yes': it must be one of true, false"),
        ({"memory": "1MiB"}, "registry:gc.memory is '1MiB': it must be 64MiB or more"),
        ({"shedule": "0 4 * * *"}, "registry:gc.shedule is none of schedule, grace, trash"),
        ({"schedule": "0 4 * *"}, "registry:gc.schedule is '0 4 * *': it must be a time in five"),
        ({"schedule": "0 24 * * *"}, "it must be a time whose hour is from 0 to 23"),
        ({"schedule": "0 0 31 2 *"}, "it must be a time that comes: there is no such day"),
    ],
)
def test_each_wrong_value_is_one_line_with_what_to_type(
    values: dict[str, Any], expected: str
) -> None:
    line, command = problems(gc=values)
    assert expected in line
    (key,) = values
    assert f"--stack prod --path registry:gc.{key}" in command


@pytest.mark.parametrize(
    ("cache", "image"), [("blobdescriptor", "registry:3.1.2"), ("layerinfo", "registry:2.8.3")]
)
def test_a_cache_in_memory_and_a_collection_exclude_each_other(cache: str, image: str) -> None:
    values = {"config": {"storage": {"cache": {cache: "inmemory"}}}, "image": image}
    assert settings(**values).gc is None
    line, command = problems(**values, gc={"grace": "24h"})
    assert "can't go with registry:gc" in line
    assert f"pulumi config rm --stack prod --path registry:config.storage.cache.{cache}" in command


@pytest.mark.parametrize(
    "schedule",
    # As in images/tools/gc/units_test.go: both take the same.
    [
        *("0 4 * * *", "*/15 8-18 * * *", "30 10,12 * * *", "0 0 1 * *", "0 0 29 2 *"),
        *("0 3 * * 0", "0 3 * * 7", "0 3 13 * 5", "5/20 * * * *", "31 10 26 11 4"),
        "0 0 31 2 1",
    ],
)
def test_schedules_are_taken_as_the_program_takes_them(schedule: str) -> None:
    chosen = settings(gc={"schedule": schedule}).gc
    assert chosen
    assert chosen.schedule == schedule


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "0 0 31 2 *", "a * * * *"),
        *("*/0 * * * *", "5-1 * * * *", "1-x * * * *", "* * * * * *", "0  4 * * *"),
    ],
)
def test_schedules_that_the_program_refuses_are_refused(schedule: str) -> None:
    assert "registry:gc.schedule is" in problems(gc={"schedule": schedule})[0]


def test_a_registry_that_is_collected_remembers_no_blobs_by_itself(deploy: Deploy) -> None:
    assert "cache" in config_of(registry(deploy))["storage"]
    assert "cache" not in config_of(registry(deploy, collected=True))["storage"]


def test_its_task_is_where_the_data_are_with_what_the_registry_has(deploy: Deploy) -> None:
    service = collect(deploy, schedule="0 4 * * *").of_type("Service")["gc-service"]
    task, container = service["taskSpec"], service["taskSpec"]["containerSpec"]
    assert service["name"] == "images_gc"
    assert container["commands"] == [
        *("/bin/registry-gc", "schedule", "0 4 * * *", "--grace", "24h", "--trash", "168h")
    ]
    assert container["user"] == "0:0"
    assert {file["fileName"] for file in container["secrets"]} == {CONFIG_PATH, CA_FILE}
    assert [mount["source"] for mount in container["mounts"]] == ["registry-com_registry-data"]
    assert [each["id"] for each in task["networksAdvanceds"]] == ["public-id", "redis-id"]
    assert task["placement"]["constraints"] == ["node.labels.x == true", "node.labels.disk == ssd"]
    assert service["mode"]["replicated"]["replicas"] == 1
    assert container["stopGracePeriod"] == "1m"
    assert container["healthcheck"]["tests"] == ["CMD", "/bin/registry-gc", "healthcheck"]
    assert not any("docker.sock" in str(mount) for mount in container["mounts"])


def test_untagged_manifests_are_no_matter_of_the_schedule(deploy: Deploy) -> None:
    service = collect(deploy, schedule="0 4 * * *", untagged=True).of_type("Service")
    assert "--untagged" not in service["gc-service"]["taskSpec"]["containerSpec"]["commands"]


def test_without_a_schedule_there_is_no_service(deploy: Deploy) -> None:
    with pytest.raises(ValueError, match="without a schedule"):
        collect(deploy)


def test_the_reference_names_all_keys() -> None:
    (text,) = (text for keys, _, text in reference() if keys == ["registry:gc"])
    for key in KEYS:
        assert f"`{key}`" in text, key
