"""The preparation of a service, so that Pulumi can import it and then update it in place.

The provider replaces a service when its networks change, its entries of hosts or kernel settings,
or labels of its containers or mounts. So Swarm itself changes these first, and brings the old task
back if the new one fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.distribution.config import DATA_PATH
from components.swarm.engine import connected, find_engine
from components.swarm.rollout import RolloutArgs, wait_until_running
from components.swarm.stack import namespace_labels
from components.swarm.summary import actual_summary

TIMEOUT_SECONDS = 300
UPDATE = {
    "Parallelism": 1,
    "Order": "start-first",
    "FailureAction": "rollback",
    "Monitor": 5 * 10**9,
}


def prepare_for_import(service: str, network: str, stack: str, volume: str | None) -> None:
    """Leave the service on `network` alone, with the images' `volume` mounted as in `stack`.

    The engine is the one that `docker` talks to. Raises `RunError` when the service doesn't start.
    """
    engine = find_engine(None)
    with connected(engine) as client:
        raw = client.inspect_service(service)
        spec, template = raw["Spec"], raw["Spec"]["TaskTemplate"]
        container = template["ContainerSpec"]
        for name in ("Labels", "Hosts", "Sysctls"):
            container.pop(name, None)
        container["Mounts"] = mounts(container.get("Mounts") or [], stack, volume)
        template["Networks"] = [{"Target": client.inspect_network(network)["Id"]}]
        client.update_service(
            raw["ID"],
            raw["Version"]["Index"],
            task_template=template,
            name=spec["Name"],
            labels=spec.get("Labels"),
            mode=spec["Mode"],
            update_config=UPDATE,
            endpoint_spec=spec.get("EndpointSpec"),
        )
    args = RolloutArgs(timeout=TIMEOUT_SECONDS)
    wait_until_running(engine, spec["Name"], actual_summary(spec), args)


def mounts(
    before: Sequence[Mapping[str, Any]], stack: str, volume: str | None
) -> list[dict[str, Any]]:
    """Return mounts from `before` of which Pulumi removes none, and adds none with a label.

    The images' volume is added where the component mounts it, with the label of the Swarm stack,
    and stays where the registry has it now.
    """
    after = []
    for mount in before:
        options = {
            name: value
            for name, value in (mount.get("VolumeOptions") or {}).items()
            if name != "Labels"
        }
        plain = {name: value for name, value in mount.items() if name != "VolumeOptions"}
        if not (volume and mount["Target"].rstrip("/") == DATA_PATH):
            after.append(plain | ({"VolumeOptions": options} if options else {}))
    if volume:
        labels = {"VolumeOptions": {"Labels": namespace_labels(stack)}}
        after.append({"Type": "volume", "Source": volume, "Target": DATA_PATH, **labels})
    return after
