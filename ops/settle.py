"""Has Pulumi change a service in place.

The provider replaces a service when labels of its containers or mounts change, or its networks. So
these are changed beforehand, by Swarm itself, which brings the old task back if the new one fails.
"""

from __future__ import annotations

from components.swarm.engine import connected, find_engine
from components.swarm.rollout import RolloutArgs, summary_running, wait_until_running
from components.swarm.stack import namespace_labels

TIMEOUT_SECONDS = 300
UPDATE = {
    "Parallelism": 1,
    "Order": "start-first",
    "FailureAction": "rollback",
    "Monitor": 5 * 10**9,
}


def settle(service: str, network: str, stack: str) -> None:
    """Leave the service on `network` alone, its volumes labelled as those of the Swarm stack.

    The engine is the one that `docker` talks to. `RunError` when the service doesn't come up.
    """
    engine = find_engine(None)
    with connected(engine) as client:
        raw = client.inspect_service(service)
        spec, template = raw["Spec"], raw["Spec"]["TaskTemplate"]
        template["ContainerSpec"].pop("Labels", None)
        for mount in template["ContainerSpec"].get("Mounts") or []:
            # `docker stack deploy` gives an external volume none.
            if mount["Type"] == "volume":
                options = mount.setdefault("VolumeOptions", {})
                options["Labels"] = namespace_labels(stack)
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
    wait_until_running(engine, spec["Name"], summary_running(spec), args)
