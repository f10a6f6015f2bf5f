"""Reads the settings, deploys the stack or removes it, and turns an error into one message."""

import pulumi

from components.run.operation import operation
from deployment import Deployment, remove
from settings import read, read_removal
from settings.failure import fail
from settings.target import find_target, prepare


def run() -> None:
    """Do what this run of Pulumi is for."""
    if operation() == "destroy":
        # What is to go is in the state. So neither a wrong setting nor a node that is down stands
        # against it; an error only when the configured engine can't be asked, or is the wrong one.
        removal = read_removal()
        remove(find_target(removal.engine, removal.swarm_moved_from))
    else:
        settings = read()
        target, images = prepare(settings)
        Deployment(settings.with_images(images.by_service), target).finish(images)


try:
    run()
except pulumi.RunError as error:
    fail(error)
