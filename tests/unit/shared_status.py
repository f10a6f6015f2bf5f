"""A stack and its swarm, in the engine's words, for the lines of `make status`."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

from components.swarm import NAMESPACE
from ops.checkpoint import Checkpoint
from ops.config import Config
from ops.status.snapshot import SERVICE, Deployed, Swarm

from .shared_doctor import outputs

NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
IMAGE = "registry:3.1.2@sha256:" + "1" * 64
LABELS = {NAMESPACE: "images", "traefik.enable": "true"}
DATA = "/var/lib/registry"


def ago(**time: float) -> str:
    """Return a moment before `NOW`, as engines write it."""
    return (NOW - timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")


def inputs(name: str = "images_registry", **others: Any) -> dict[str, Any]:
    """Return the inputs of a service in Pulumi's state."""
    container = {
        "image": IMAGE,
        "commands": ["serve"],
        "env": {"A": "b"},
        "mounts": [{"source": "images_data", "target": DATA, "type": "volume"}],
        "secrets": [{"secretId": "secret-1", "fileName": "/config"}],
        "healthcheck": {"tests": ["CMD", "true"]},
    }
    task = {
        "containerSpec": container,
        "networksAdvanceds": [{"id": "network-1"}],
        "placement": {"constraints": ["node.id == n"]},
        "resources": {"limits": {"memoryBytes": 1024.0}},
        "logDriver": {"name": "json-file", "options": {"max-size": "10m"}},
    }
    return {
        "name": name,
        "taskSpec": task,
        "mode": {"replicated": {"replicas": 1.0}},
        "endpointSpec": {"ports": [{"publishedPort": 80.0, "targetPort": 5000.0}]},
        "labels": [{"label": key, "value": value} for key, value in LABELS.items()],
        **others,
    }


def service(name: str = "images_registry", **others: Any) -> dict[str, Any]:
    """Return the same service as an engine has it; `others` are parts of its `Spec`."""
    container = {
        "Image": IMAGE,
        "Command": ["serve"],
        "Env": ["A=b"],
        "Mounts": [{"Source": "images_data", "Target": DATA, "Type": "volume"}],
        "Secrets": [{"SecretID": "secret-1"}],
        "Healthcheck": {"Test": ["CMD", "true"]},
    }
    template = {
        "ContainerSpec": container,
        "Networks": [{"Target": "network-1"}],
        "Placement": {"Constraints": ["node.id == n"]},
        "Resources": {"Limits": {"MemoryBytes": 1024}},
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m"}},
    }
    spec = {
        "Name": name,
        "Labels": dict(LABELS),
        "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": template,
        "EndpointSpec": {"Ports": [{"PublishedPort": 80, "TargetPort": 5000}]},
        **others,
    }
    return {"ID": f"{name}-id", "Spec": spec, "CreatedAt": ago(days=3), "UpdatedAt": ago(days=3)}


def task(
    state: str = "running", error: str = "", *, name: str = "images_registry", **time: float
) -> dict[str, Any]:
    """Return a task on node `dog` that came into its state that long ago; 3 days by default."""
    since = ago(**(time or {"days": 3}))
    return {
        "ID": f"task-{state}-{since}",
        "ServiceID": f"{name}-id",
        "NodeID": "n",
        "Slot": 1,
        "CreatedAt": since,
        "DesiredState": "running" if state == "running" else "shutdown",
        "Status": {
            "State": state,
            "Err": error,
            "Timestamp": since,
            "ContainerStatus": {"ContainerID": "container-1"},
        },
    }


def node(name: str = "dog", id_: str = "n", **others: Any) -> dict[str, Any]:
    """Return a node that is a manager."""
    return {
        "ID": id_,
        "Description": {"Hostname": name},
        "Spec": {"Role": "manager", "Availability": "active"},
        "Status": {"State": "ready"},
        "ManagerStatus": {"Reachability": "reachable"},
        **others,
    }


def frames(text: str) -> bytes:
    """Return a log as engines send it."""
    return b"".join(
        struct.pack(">BxxxL", 1, len(line.encode()) + 1) + line.encode() + b"\n"
        for line in text.splitlines()
    )


@dataclass(kw_only=True)
class Client:
    """An engine that answers with what it is given, and notes what it is asked to do."""

    output: str = ""
    """Of commands and of tasks."""
    code: int = 0
    log: str | OSError = ""
    new_tasks: Sequence[Mapping[str, Any]] = ()
    """Tasks of the service that is made."""
    left: Sequence[Mapping[str, Any]] = ()
    """Services that an earlier run has left."""
    done: list[str] = field(default_factory=list)
    made: list[Mapping[str, Any]] = field(default_factory=list)
    base_url: str = "http://engine"
    api_version: str = "1.41"

    def exec_create(
        self, container: str, command: Sequence[str], stderr: bool
    ) -> Mapping[str, str]:
        assert stderr
        self.done.append(f"exec {container} {' '.join(command)}")
        return {"Id": "exec-1"}

    def post(self, url: str, json: Mapping[str, Any], timeout: float) -> Any:
        assert (url, json["Detach"]) == ("http://engine/v1.41/exec/exec-1/start", False)
        assert timeout
        return SimpleNamespace(content=frames(self.output), raise_for_status=lambda: None)

    def exec_inspect(self, _: str) -> Mapping[str, int]:
        return {"ExitCode": self.code}

    def services(self, filters: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        assert filters == {"label": "registry.status"}
        return self.left

    def create_service(self, template: Mapping[str, Any], **others: Any) -> Mapping[str, str]:
        self.made.append({"template": template, **others})
        return {"ID": "made-1"}

    def remove_service(self, service: str) -> None:
        self.done.append(f"remove {service}")

    def tasks(self, _: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        return self.new_tasks

    def get(self, url: str, params: Mapping[str, Any], timeout: float) -> Any:
        self.done.append(f"get {url} {params.get('tail')}")
        assert timeout
        if isinstance(self.log, OSError):
            raise self.log
        content = frames(self.log or self.output)
        return SimpleNamespace(content=content, raise_for_status=lambda: None)


def stack(*services: Mapping[str, Any], **others: Any) -> Deployed:
    """Return a stack whose state has these services, the registry alone by default."""
    resources = [
        {"type": SERVICE, "id": f"{each['name']}-id", "urn": f"::{each['name']}", "inputs": each}
        for each in services or [inputs()]
    ]
    state = Checkpoint({"deployment": {"resources": [*resources, *others.pop("resources", [])]}})
    config = Config(stack="prod", values={"registry:stackName": "images"})
    return replace(
        Deployed(stack="prod", config=config, outputs=outputs(), state=state, now=NOW), **others
    )


def swarm(
    *services: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]] | None = None,
    client: Client | None = None,
    **others: Any,
) -> Swarm:
    """Return a swarm with these services, by default the registry, which runs."""
    there = services or [service()]
    default = Swarm(
        client=client or Client(),
        now=NOW,
        node_id="n",
        nodes=[node()],
        services={each["Spec"]["Name"]: each for each in there},
        tasks=[task(name=each["Spec"]["Name"]) for each in there] if tasks is None else tasks,
        ids={
            "services": frozenset(each["ID"] for each in there),
            "networks": frozenset({"network-1"}),
            "secrets": frozenset({"secret-1"}),
        },
    )
    return replace(default, **others)
