"""A stack whose state was lost, cut short, or left behind by its swarm: `make recover STACK=…`.

What runs is taken into a state as it is, and then deployed as ever: one update a service. Volumes
and the labels of their nodes stay as they are. Swarm hands out no secret, so there are new ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from components.swarm import NAMESPACE
from ops import backend, checkpoint, inventory, resume
from ops.bootstrap.console import UserError, say
from ops.bootstrap.environment import deploy_command, prepare_machine
from ops.inventory import Inventory, Item
from ops.stack import Stack


def recover(stack: Stack) -> None:
    """Bring the stack's state back, and deploy; changes nothing where nothing is wrong."""
    name = stack.name
    restored = backend.restore(name)
    if stack.is_local:
        prepare_machine()
    stack.ensure()
    before, differences = resume.inspect(stack)
    wrong = (
        restored,
        before.pending,
        differences.missing,
        differences.unrecorded,
        differences.foreign,
        differences.other_swarm,
    )
    if not any(wrong):
        if not before.on_swarm:
            raise UserError(f"there is nothing of stack {name} here: {deploy_command(name)}")
        say(f"stack {name}: its state and the swarm agree, so there is nothing to recover")
        return
    flags = resume.REFRESH if restored else ()
    stack.deploy_again(*flags, imports=_imports(stack, differences.foreign), forget="always")
    resume.clean_up(stack, services=False)
    say(f"stack {name} is recovered; its images, their volume and their node are those of before")
    if differences.foreign and not before.on_swarm:
        _tell_passwords(stack)


def _imports(stack: Stack, services: Sequence[Item]) -> dict[str, str]:
    """Return the ids by name of these services, and of the networks that could be theirs."""
    if not services:
        return {}
    state, swarm = checkpoint.read(stack.name), inventory.take(stack.name, stack.endpoint)
    for service in services:
        _require_ours(stack.name, service, swarm)
        _require_label(service, swarm)
    # Of the networks the program takes those alone that the stack is to make.
    networks = {
        each.name: each.id for each in swarm.networks if each.id not in state.ids("networks")
    }
    return {**networks, **{each.name: each.id for each in services}}


def _require_ours(name: str, service: Item, swarm: Inventory) -> None:
    """Raise UserError where the service is one that `docker stack deploy` made."""
    secrets = [each.name for each in swarm.secrets if each.id in service.secrets]
    if service.name.endswith("_registry") and not any(
        re.fullmatch(resume.SECRETS, secret) for secret in secrets
    ):
        source = service.labels[NAMESPACE]
        raise UserError(
            f"{service.name} wasn't deployed by this program. To take over such a registry:\n"
            f"      make adopt STACK={name} FROM={source}"
        )


def _require_label(service: Item, swarm: Inventory) -> None:
    """Raise UserError where no node has the label of the service's volume: it would start empty."""
    for constraint in service.constraints:
        label = re.match(r"node\.labels\.(\S+)\s*==\s*true$", constraint)
        if label and not swarm.has_label(label[1]):
            raise UserError(
                f"{service.name} belongs on the node with the label {label[1]}, and no node has it."
                f" See where it last ran, and give it back to that node:\n"
                f"      docker service ps {service.name}\n"
                f"      docker node update --label-add {label[1]}=true NODE"
            )


def _tell_passwords(stack: Stack) -> None:
    name, outputs, given = stack.name, stack.outputs, stack.whole_config.passwords
    seeds = stack.settings.login.seeds
    new = [user for user in outputs.users if user not in given]
    if new and "login" in seeds:
        say(f"as before, by registry:passwordSeeds: {', '.join(new)}")
    elif new:
        say(
            f"new passwords: {', '.join(new)}. They were generated, and nobody has the old ones"
            f" but who wrote them down:\n"
            f"      pulumi stack output passwords --show-secrets --stack {name}"
        )
    if given:
        say(f"as before, since they were given: {', '.join(given)}")
    if outputs.dashboard_users and "dashboard" not in seeds:
        say(
            f"new passwords of Traefik's dashboard: {', '.join(outputs.dashboard_users)}\n"
            f"      pulumi stack output dashboardPasswords --show-secrets --stack {name}"
        )
