"""Reads the settings, deploys the stack or removes it, and turns an error into one message."""

import sys

import pulumi

from components.run.operation import operation
from deployment import Deployment, remove
from settings import read, read_removal
from settings.remedies import explain
from settings.target import find_target, prepare

EXIT_ALREADY_REPORTED = 32
"""Exit code by which Pulumi knows that the program has shown its error; any other gets it a
second, vaguer one."""


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
    pulumi.log.error(explain(error, pulumi.get_stack()))
    sys.exit(EXIT_ALREADY_REPORTED)
