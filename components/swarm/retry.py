"""An update that Swarm has undone is tried again by the next deployment."""

from __future__ import annotations

import pulumi
import pulumi_docker as docker_provider

from components.swarm.inspect import Swarm
from components.swarm.summary import runs, summary_output


def retry_undone(swarm: Swarm) -> pulumi.ResourceTransformation:
    """Return what makes Pulumi update each service again whose last update Swarm has undone.

    To Pulumi's state that update is done, so it wouldn't send it again, whatever stood against it
    then. A `forceUpdate` that the service hasn't had yet is a difference; it restarts no task that
    the update wouldn't.
    """

    def transform(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        name, task = args.props.get("name"), args.props.get("task_spec")
        endpoint = args.props.get("endpoint_spec")
        if not isinstance(task, docker_provider.ServiceTaskSpecArgs) or not isinstance(name, str):
            return None
        undone = swarm.services[name].undone if name in swarm.services else None
        if undone is None:
            return None
        task.force_update = summary_output(task, endpoint).apply(
            lambda expected: None if runs(undone.spec, expected) else undone.version
        )
        return pulumi.ResourceTransformationResult(args.props, args.opts)

    return transform
