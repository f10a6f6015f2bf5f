"""The image of the project's own programs, as a stack's nodes get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.errors import DeploymentError
from components.swarm import NAMESPACE
from components.swarm.preflight import require_built_image
from components.swarm.pull_login import registry_of
from components.swarm.service import service_name
from components.version import TOOLS_IMAGE
from ops import inventory
from ops.bootstrap import images
from ops.bootstrap.console import UserError
from settings.remedies import explain

if TYPE_CHECKING:
    from docker import APIClient

    from ops.stack import Stack


def tools_image(stack: Stack, client: APIClient) -> str:
    """Return the image that runs beside the stack's registry; UserError where nodes can't get it.

    With the digest that the stack runs, if it does: whatever was pushed by that tag since, these
    are the same programs. `client` may pull the image afterwards.
    """
    image = stack.settings.tools_image or TOOLS_IMAGE
    if stack.settings.tools_image is None:
        if stack.is_local:
            images.ensure_tools()
        try:
            nodes = len(client.nodes())
            require_built_image(client, stack.endpoint.host, nodes, image, "toolsImage")
        except DeploymentError as error:
            raise UserError(explain(error, stack.name)) from error
    if login := stack.settings.engine.pull_logins.get(registry_of(image)):
        client.login(login.username, login.password, registry=registry_of(image))
    return _deployed(client, stack.config.swarm_stack, image) or image


def _deployed(client: APIClient, swarm_stack: str, image: str) -> str:
    """Return `image` with its digest, as services of the stack run it; empty where none does."""
    jobs = service_name(swarm_stack, inventory.JOB)
    services = [
        each
        for each in client.services({"label": f"{NAMESPACE}={swarm_stack}"})
        if not each["Spec"]["Name"].startswith(jobs)
    ]
    # Services that were last changed at different times may run different digests of one tag.
    services.sort(key=lambda each: str(each["UpdatedAt"]), reverse=True)
    running = (each["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] for each in services)
    return next((each for each in running if each.startswith(f"{image}@")), "")
