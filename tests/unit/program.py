"""The whole program under mocks: settings in, all that it declares out."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.settings import SETTINGS

from components.swarm import client as swarm_client

from .conftest import Recorder, _Hooks

ROOT = Path(__file__).parents[2]
HOST = "tcp://127.0.0.1:2375"
"""The engine's address, unless a setting names another."""
SWARM_ID = "nfa3d4df2df34as2fd34230rm"
JOINED = ("traefik-public", "other-public")
"""Overlay networks of other stacks, where the stack itself makes none."""


def raw(values: Mapping[str, Any]) -> dict[str, str]:
    """Return settings in the form in which the CLI hands them to a program."""
    return {
        key if ":" in key else f"registry:{key}": value
        if isinstance(value, str)
        else json.dumps(value)
        for key, value in values.items()
    }


@dataclass
class Declared:
    """Resources and outputs that one run of the program declares."""

    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Inputs and options by type, with those of all parents, and name."""
    outputs: dict[str, Any] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    """Components, by type and name, that have registered their outputs."""
    warnings: list[str] = field(default_factory=list)

    def note(self, outputs: Mapping[str, Any]) -> None:
        """Keep the program's `outputs`, but for the version: a release is no difference."""
        self.outputs.update(outputs)
        if "version" in outputs:
            self.outputs["version"] = "…"

    def as_json(self) -> str:
        """Return resources and outputs as they are recorded."""
        record = {"outputs": self.outputs, "resources": self.resources}
        return json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


class Manager:
    """An engine that manages a swarm of three nodes on which nothing is deployed."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = networks

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def info(self) -> dict[str, Any]:
        """Return what `docker info` tells of the swarm."""
        about = {"LocalNodeState": "active", "ControlAvailable": True, "NodeID": "cat-id"}
        return {
            "Name": "cat",
            "DockerRootDir": "/nowhere",
            "Swarm": about | {"Cluster": {"ID": SWARM_ID}},
        }

    def nodes(self) -> list[dict[str, Any]]:
        """Return two managers and a worker."""
        return [
            {
                "ID": f"{name}-id",
                "Description": {
                    "Hostname": name,
                    "Platform": {"OS": "linux", "Architecture": "x86_64"},
                },
                "Status": {"State": "ready"},
                "Spec": {"Availability": "active", "Role": role, "Labels": {"disk": "ssd"}},
            }
            for name, role in (("cat", "manager"), ("dog", "manager"), ("emu", "worker"))
        ]

    def networks(self) -> list[dict[str, Any]]:
        """Return the overlay networks that are there."""
        return [
            {"Name": name, "Id": f"{name}-id", "Driver": "overlay", "Scope": "swarm"}
            for name in self._networks
        ]

    def services(self) -> list[dict[str, Any]]:
        """Return no service."""
        return []

    def containers(self) -> list[dict[str, Any]]:
        """Return no container."""
        return []

    def inspect_image(self, image: str) -> dict[str, Any]:
        """Return something: each image is there."""
        return {"Id": image}

    def inspect_distribution(self, image: str, **_: Any) -> dict[str, Any]:
        """Return a digest that is the image's alone."""
        digest = image.encode().hex().ljust(64, "0")[-64:]
        return {"Descriptor": {"digest": f"sha256:{digest}"}}


class Monitor(mocks.MockMonitor):
    """Records resources with the options that decide about their names and updates."""

    def __init__(self, recorder: Recorder, declared: Declared) -> None:
        super().__init__(recorder)
        self._recorder, self._declared = recorder, declared

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - Pulumi's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type == "pulumi:pulumi:Stack":
            return response
        hooks = [*request.hooks.after_delete]
        options = {
            "aliases": [alias.spec.type or alias.urn for alias in request.aliases],
            "deleteBeforeReplace": request.deleteBeforeReplace,
            "hooks": hooks,
            "ignoreChanges": list(request.ignoreChanges),
            "import": request.importId,
            "provider": request.provider.rpartition("::")[0].rpartition("::")[2],
            "replaceOnChanges": list(request.replaceOnChanges),
            "retainOnDelete": request.retainOnDelete,
        }
        inputs = self._recorder.registered[request.name].inputs
        urn = response.urn.partition("::")[2].partition("::")[2]
        self._declared.resources[urn] = {
            "inputs": readable(inputs),
            "options": {name: value for name, value in options.items() if value},
        }
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - Pulumi's name
        self._declared.finished.add(request.urn.partition("::")[2].partition("::")[2])
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class FirstDeployment(Recorder):
    """Answers for a state in which there is nothing yet."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        if args.token == "pulumi:pulumi:readStackResourceOutputs":
            return {"outputs": {}}, []
        return super().call(args)


def readable(value: Any) -> Any:
    """Return inputs with secrets marked, and what is in base64 as text or JSON."""
    if pulumi.runtime.rpc.is_rpc_secret(value):
        return {"secret": readable(value["value"])}
    if isinstance(value, Mapping):
        return {key: readable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [readable(each) for each in value]
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            text = base64.b64decode(value, validate=True).decode()
            if not text.isprintable() or len(text) > 20:
                return {"base64": _lines(text)}
    return value


def _lines(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.splitlines()


def declare(
    values: Mapping[str, Any],
    secrets: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
) -> Declared:
    """Return what the program declares with these settings, in a preview.

    `AssertionError` with the program's own error where it ends with one.

    `values` are by key, those of this project without a namespace; `secrets` are full keys.
    """
    declared = Declared()
    makes_network = "true" if values.get("proxy", "none") != "none" else "false"
    joined = () if values.get("createNetwork", makes_network) == "true" else JOINED

    def client(**_: Any) -> Manager:
        return Manager((*joined, "storage"))

    def program() -> pulumi.Output[Any]:
        try:
            runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
        except SystemExit:
            (error,) = errors
            raise AssertionError(error) from None
        return pulumi.Output.all(**outputs)

    outputs: dict[str, Any] = {}
    errors: list[str] = []
    recorder = FirstDeployment()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    asyncio.set_event_loop(loop)
    with monkeypatch.context() as patch:
        _without_machine(patch, folder)
        patch.setattr(swarm_client, "_Client", client)
        patch.setattr(pulumi, "export", outputs.__setitem__)
        patch.setattr(pulumi.log, "warn", declared.warnings.append)
        patch.setattr(pulumi.log, "error", errors.append)
        # Mocks have the list of secrets empty: elsewhere the CLI hands it over.
        pulumi.runtime.config.set_all_config(raw({"docker:host": HOST, **values}), list(secrets))
        pulumi.runtime.set_mocks(
            recorder,
            project="registry",
            stack="test",
            preview=True,
            monitor=Monitor(recorder, declared),
        )
        SETTINGS.callbacks = _Hooks()

        try:
            pulumi.runtime.test(lambda: program().apply(declared.note))()  # type: ignore[no-untyped-call]
        finally:
            pulumi.runtime.config.set_all_config({}, [])
            asyncio.set_event_loop(None)
            loop.close()
    return declared


def _without_machine(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep from the program what this machine has: files, and the way to an engine."""
    # A stack's own file, and PEM files, are looked for here.
    patch.chdir(folder)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        patch.delenv(name, raising=False)
    patch.setenv("DOCKER_CONFIG", str(folder))
