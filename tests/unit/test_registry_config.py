"""The registry's configuration and where its images are."""

from __future__ import annotations

import re

from components import (
    MountedData,
    redis,
    socket_proxy,
)
from components.distribution.config import (
    DATA_PATH,
)
from components.distribution.service import GRACEFUL_STOP, STORAGE_FIRST
from components.files import FOLDER
from components.swarm.task import volume_mount

from .conftest import Deploy
from .shared_components import (
    config_of,
    registry,
)


def test_comments_of_a_script_are_no_part_of_a_task() -> None:
    for text in (GRACEFUL_STOP, STORAGE_FIRST):
        assert not re.search("^ *#", text, re.MULTILINE)


def test_the_users_configuration_is_merged_deeply(deploy: Deploy) -> None:
    config = config_of(
        registry(
            deploy,
            config={"log": {"level": "debug"}, "storage": {"delete": {"enabled": True}}},
        )
    )
    assert config["log"] == {"level": "debug", "accesslog": {"disabled": True}}
    assert config["storage"]["delete"] == {"enabled": True}
    assert config["storage"]["filesystem"] == {"rootdirectory": "/var/lib/registry"}


def test_an_object_store_takes_the_place_of_the_volume(deploy: Deploy) -> None:
    recorder = registry(deploy, config={"storage": {"s3": {"bucket": "b"}}}, data=MountedData())
    assert "filesystem" not in config_of(recorder)["storage"]
    task = recorder.of_type("Service")["registry-service"]["taskSpec"]
    assert not task["containerSpec"].get("mounts")


def test_a_shared_volumes_driver_and_options_go_into_the_mount(deploy: Deploy) -> None:
    mount = volume_mount("s", "images", DATA_PATH, "local", {"type": "nfs"})
    recorder = registry(deploy, data=MountedData(mounts=[mount]))
    task = recorder.of_type("Service")["registry-service"]["taskSpec"]
    options = task["containerSpec"]["mounts"][0]["volumeOptions"]
    assert options["driverName"] == "local"
    assert options["driverOptions"] == {"type": "nfs"}


def test_files_of_tasks_name_what_the_components_do() -> None:
    assert f"port {redis.PORT}\n" in (FOLDER / "redis.conf").read_text()
    assert redis.CONFIG_PATH in redis.PROBE
    assert f"bind :{socket_proxy.PORT}\n" in socket_proxy.CONFIG
    assert f"server engine {socket_proxy.SOCKET_PATH}\n" in socket_proxy.CONFIG
    assert "#" not in socket_proxy.CONFIG, "another comment must not be an update"
