"""`python -m ops.look`: what a stack's swarm has, as JSON; and what stdin names is removed.

Runs in the project's virtual environment, for the docker SDK. The engine is found as the program
finds it, from the settings that stdin has too.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import docker
import docker.errors
import pulumi

from components.swarm.engine import connected, find_engine
from components.swarm.inspect import look
from settings.engine import parse_endpoint
from settings.reader import Reader

_Raw = Mapping[str, Any]


def main() -> None:
    """Remove what is asked for, then print what there is."""
    asked = json.load(sys.stdin)
    reader = Reader(asked["config"], lambda _: True, asked["stack"])
    settings = parse_endpoint(reader)
    engine = find_engine(settings.host, settings.tls)
    swarm = look(engine)
    with connected(engine) as client:
        remove = {
            "services": client.remove_service,
            "networks": client.remove_network,
            "secrets": client.remove_secret,
        }
        for kind, ids in asked["remove"].items():
            for each in ids:
                # What is in use stays, and what is gone already is as it shall be.
                with contextlib.suppress(docker.errors.APIError):
                    remove[kind](each)
        print(json.dumps(_inventory(client) | {"cluster": swarm.cluster_id}))


def _inventory(client: docker.APIClient) -> dict[str, Any]:
    volumes: list[_Raw] = []
    # A filtered socket may keep these back from stacks that have none.
    with contextlib.suppress(docker.errors.APIError):
        volumes = client.volumes()["Volumes"] or []
    return {
        "services": [_service(raw) for raw in client.services()],
        "networks": [
            {"id": raw["Id"], "name": raw["Name"], "labels": raw.get("Labels") or {}}
            for raw in client.networks(filters={"driver": "overlay"})
        ],
        "secrets": [_named(raw) for raw in client.secrets()],
        "volumes": [raw["Name"] for raw in volumes],
        "node_labels": [raw["Spec"].get("Labels") or {} for raw in client.nodes()],
    }


def _service(raw: _Raw) -> dict[str, Any]:
    task = raw["Spec"]["TaskTemplate"]
    secrets: Sequence[_Raw] = (task.get("ContainerSpec") or {}).get("Secrets") or []
    return {
        **_named(raw),
        "networks": [network["Target"] for network in task.get("Networks") or []],
        "secrets": [secret["SecretID"] for secret in secrets],
        "constraints": (task.get("Placement") or {}).get("Constraints") or [],
    }


def _named(raw: _Raw) -> dict[str, Any]:
    return {
        "id": raw["ID"],
        "name": raw["Spec"]["Name"],
        "labels": raw["Spec"].get("Labels") or {},
    }


if __name__ == "__main__":
    try:
        main()
    except pulumi.RunError as error:
        sys.exit(str(error))
