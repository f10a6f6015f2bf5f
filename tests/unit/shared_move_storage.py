"""A stack whose images go from one storage to another."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from components.distribution.config import CONFIG_PATH, DATA_PATH
from components.run.takeover import Move
from components.swarm.location import Location, Volume
from ops import checkpoint, inventory
from ops.bootstrap.console import UserError
from ops.move import storages

from .shared_move import ROUTE, Copying
from .shared_settings import settings

LABEL, VOLUME = "images.registry-data", "images_registry-data"
FILES = {"filesystem": {"rootdirectory": DATA_PATH}}


def node(name: str, **labels: str) -> dict[str, Any]:
    return {
        "ID": f"{name}-id",
        "Description": {"Hostname": name},
        "Status": {"State": "ready"},
        "Spec": {"Availability": "active", "Role": "worker", "Labels": labels},
    }


ON_DOG = Volume(name=VOLUME, node_id="dog-id", node="dog", label=LABEL)


class DeployedStack(Copying):
    """A stack with its images in `old`, whose steps are noted."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, old: Location, storage: Mapping[str, Any], **new: Any
    ) -> None:
        super().__init__(monkeypatch, free=-1)
        self.old, self.storage = old, storage
        self.labels = {"dog": {LABEL: "true"}} if isinstance(old, Volume) else {}
        secrets = ("registry:config",) if "config" in new else ()
        self.stack: Any = SimpleNamespace(
            name="prod",
            file=SimpleNamespace(name="Pulumi.prod.yaml"),
            endpoint=SimpleNamespace(host="unix:///run/docker.sock"),
            config=SimpleNamespace(swarm_stack="images"),
            settings=settings(secrets, stackName="images", **new),
            whole_config=None,
            refresh=lambda: None,
            deploy_again=self.deploy,
        )
        monkeypatch.setattr(inventory, "connected", lambda *_: contextlib.nullcontext(self))
        monkeypatch.setattr(checkpoint, "read", lambda _: self)
        monkeypatch.setattr(checkpoint, "secret_texts", self.secret_texts)
        monkeypatch.setattr(storages, "_with_remedy", lambda _, __, error: error)

    def noted(self, name: str) -> Mapping[str, Any]:
        assert name == "registry-data-place"
        return self.old.remembered("c")

    def info(self) -> Mapping[str, Any]:
        return {"Swarm": {"Cluster": {"ID": "c"}}}

    def nodes(self) -> list[Any]:
        return [node(name, **self.labels.get(name, {})) for name in ("dog", "cat")]

    def networks(self, names: list[str]) -> list[Any]:
        return [{"Name": name, "Id": f"{name}-id"} for name in names if name != "gone"]

    def services(self, filters: Mapping[str, str]) -> list[Any]:
        files = [{"SecretID": "config-id", "File": {"Name": CONFIG_PATH}}]
        container: dict[str, Any] = {"Secrets": files}
        if "filesystem" in self.storage:
            container["Mounts"] = [{"Type": "volume", "Source": VOLUME, "Target": DATA_PATH}]
        spec = {"TaskTemplate": {"ContainerSpec": container}, "Labels": ROUTE.labels(5000)}
        registry = {"Spec": {"Name": "images_registry", **spec}}
        return [registry] if filters["name"] == "images_registry" else []

    def secret_texts(self, _: str, ids: Mapping[str, str]) -> Mapping[str, str]:
        assert list(ids) == ["config-id"]
        return {"config-id": json.dumps({"storage": self.storage})}

    def deploy(self, move: Move) -> None:
        self.steps.append("deploy")
        self.moves.append(move)
        if self.fails == "deploy":
            raise UserError("no")
