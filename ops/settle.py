"""Has Pulumi change a service in place.

The provider replaces a service when its networks change, its entries of hosts or kernel settings,
or labels of its containers or mounts. So these are changed beforehand, by Swarm itself, which
brings the old task back if the new one fails.
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


def settle(service: str, network: str, stack: str, volume: str | None) -> None:
    """Leave the service on `network` alone, its images' `volume` mounted where Pulumi has it.

    The engine is the one that `docker` talks to. `RunError` when the service doesn't come up.
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
    """Return the mounts `before` such that Pulumi adds none with a label, and removes none.

    The volume of the images comes to where Pulumi has it, with the label of the Swarm stack; it
    stays where the registry looks for it until now.
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
