"""The little that is done to a swarm directly: a node's label, and the removal of a volume.

The docker provider knows no nodes, and no volumes but those of the node that it talks to.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from typing import Any

import docker
import docker.errors

from components.swarm.engine import Engine, connected
from components.swarm.inspect import holds

LABEL_TRIES = 5
"""Attempts to read and update a node: a node that has just come back changes by itself."""
RELEASE_SECONDS = 120
"""Time for a task to end and let go of its volume."""


def label_only(engine: Engine, label: str, node_id: str) -> None:
    """Put `label=true` on the node and take it off every other; do nothing when it is so.

    Other labels stay as they are: an update of a node replaces all of it, so each is read right
    before, and again when Swarm refuses the update because somebody came between.
    """
    with connected(engine) as client:
        put_label(client, label, node_id)


def put_label(client: docker.APIClient, label: str, node_id: str | None) -> None:
    """Do as `label_only` with an engine that is connected; for None no node has it then."""
    for raw in client.nodes():
        _relabel(client, raw, label, raw["ID"] == node_id)


def _relabel(client: docker.APIClient, raw: Mapping[str, Any], label: str, is_holder: bool) -> None:
    for tries_left in reversed(range(LABEL_TRIES)):
        labels = dict(raw["Spec"].get("Labels") or {})
        wanted = {key: value for key, value in labels.items() if key != label}
        if is_holder:
            wanted[label] = "true"
        if wanted == labels or (is_holder and holds(labels, label)):
            return
        try:
            client.update_node(raw["ID"], raw["Version"]["Index"], raw["Spec"] | {"Labels": wanted})
            return
        except docker.errors.APIError as error:
            if not tries_left or "out of sequence" not in str(error):
                raise
        raw = client.inspect_node(raw["ID"])


def remove_volume(engine: Engine, volume: str) -> None:
    """Delete a volume on the engine's own node once no container has it; fine when it isn't there.

    `RunError` after `RELEASE_SECONDS`. Swarm removes the containers of a service that has gone when
    they have ended, and a registry drains first.
    """
    deadline = time.monotonic() + RELEASE_SECONDS
    with connected(engine) as client:
        while True:
            try:
                client.remove_volume(volume)
                return
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != http.client.CONFLICT or time.monotonic() > deadline:
                    raise
            time.sleep(1)
