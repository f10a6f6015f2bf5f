"""A swarm with a registry, beside which jobs run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from components.distribution.config import CA_FILE, CONFIG_PATH, HTPASSWD_PATH
from components.swarm.endpoint import Endpoint
from components.swarm.pull_login import PullLogin
from ops import inventory, job

IMAGE = "ghcr.io/acme/tools:1"
A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def secret(path: str) -> dict[str, Any]:
    return {"File": {"Name": path, "UID": "0", "GID": "0", "Mode": 0o400}, "SecretID": path}


REGISTRY: Mapping[str, Any] = {
    "Name": "images_registry",
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "registry:3.1.2",
            "Command": ["/bin/sh"],
            "Mounts": [{"Type": "volume", "Source": "data", "Target": "/var/lib/registry"}],
            "Secrets": [secret(path) for path in (CONFIG_PATH, CA_FILE, HTPASSWD_PATH)],
        },
        "Networks": [{"Target": "public-id", "Aliases": ["registry"]}, {"Target": "redis-id"}],
        "Placement": {"Constraints": ["node.labels.images == true"], "Platforms": [{}]},
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m"}},
    },
}


def service(id_: str, spec: Mapping[str, Any], updated: str = "2026-01-01T00") -> dict[str, Any]:
    return {"ID": id_, "CreatedAt": "2026-01-01T00", "UpdatedAt": updated, "Spec": spec}


class Swarm:
    """A swarm with a registry, on which each job's task goes through `states`."""

    base_url, api_version = "http+docker://engine", "1.41"
    cluster = "swarm-of-the-stack"

    def info(self) -> dict[str, Any]:
        cluster = {"ID": self.cluster}
        swarm = {"LocalNodeState": "active", "ControlAvailable": True, "Cluster": cluster}
        return {"Swarm": swarm}

    def __init__(self, *states: Mapping[str, Any], log: str = "") -> None:
        self._states = list(states)
        self._log = log
        self.services_there: dict[str, dict[str, Any]] = {
            "registry-id": service("registry-id", REGISTRY)
        }
        self.created: dict[str, Any] = {}
        self.configs_there: dict[str, str] = {}
        self.logins: list[str] = []
        self.interrupts = False

    def services(self, filters: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        filters = filters or {}
        assert filters.get("label") in (None, "com.docker.stack.namespace=images")
        beginning = filters.get("name", "")
        services = self.services_there.values()
        return [each for each in services if each["Spec"]["Name"].startswith(beginning)]

    def tasks(self, _: Mapping[str, str]) -> list[dict[str, Any]]:
        if self.interrupts:
            raise KeyboardInterrupt
        status = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return [{"ID": "task", "NodeID": "n", "CreatedAt": "2026-01-01T00:00", "Status": status}]

    def nodes(self) -> list[dict[str, Any]]:
        return [{"ID": "n", "Description": {"Hostname": "dog"}}]

    def login(self, username: str, _: str, *, registry: str) -> None:
        self.logins.append(f"{username}@{registry}")

    def create_service(self, template: dict[str, Any], **options: Any) -> dict[str, str]:
        self.created = {"template": template, **options}
        service = {"ID": "job-id", "CreatedAt": "2026-01-02T00", "Spec": {"Name": options["name"]}}
        self.services_there["job-id"] = service
        return {"ID": "job-id"}

    def remove_service(self, service: str) -> None:
        del self.services_there[service]

    def configs(self, filters: Mapping[str, str]) -> list[dict[str, str]]:
        names = self.configs_there.items()
        return [{"ID": name} for name, _ in names if name.startswith(filters["name"])]

    def create_config(self, name: str, data: bytes, labels: Mapping[str, str]) -> dict[str, str]:
        assert labels == {"com.docker.stack.namespace": "images"}
        self.configs_there[name] = data.decode()
        return {"ID": name}

    def remove_config(self, name: str) -> None:
        if name not in self.configs_there:
            raise docker.errors.NotFound(name)
        del self.configs_there[name]

    def secrets(self, filters: Mapping[str, str]) -> list[dict[str, str]]:
        assert filters
        return []

    def create_secret(self, *_: object, **__: object) -> None:
        raise AssertionError("no secret was asked for")

    remove_secret = create_secret

    def get(self, url: str, params: Mapping[str, int], timeout: float) -> Any:
        assert url.endswith("/tasks/task/logs")
        assert timeout > 0
        stamp = "2026-01-01T00:00:01.000000000Z " if params.get("timestamps") else ""
        lines = [f"{stamp}{self._log}\n"]
        frames = b"".join(
            b"\1\0\0\0" + len(line).to_bytes(4, "big") + line for line in map(str.encode, lines)
        )
        return SimpleNamespace(content=frames, raise_for_status=lambda: None)


def status(state: str, code: int | None = None, error: str = "") -> dict[str, Any]:
    started = {} if code is None else {"ContainerStatus": {"ContainerID": "c", "ExitCode": code}}
    return {"State": state, "Err": error, **started}


def stack_on(swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a stack that is deployed to the swarm, and don't wait for anything."""
    monkeypatch.setattr(job, "POLL_SECONDS", 0)
    monkeypatch.setattr(job, "PENDING_SECONDS", -1)
    monkeypatch.setattr(inventory, "connected", lambda *_: contextlib.nullcontext(swarm))
    engine = SimpleNamespace(pull_logins={"ghcr.io": PullLogin(username="me", password="p")})
    return SimpleNamespace(
        name="prod",
        endpoint=Endpoint(host="unix:///nowhere.sock"),
        cluster=Swarm.cluster,
        is_local=False,
        config=SimpleNamespace(swarm_stack="images"),
        settings=SimpleNamespace(tools_image=IMAGE, engine=engine, gc=None, backup=None),
    )
