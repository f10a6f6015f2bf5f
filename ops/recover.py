"""A stack whose state was lost, cut short, or left behind by its swarm: `make recover STACK=…`.

What runs is taken into a state as it is, and then deployed as ever: one update a service. Volumes
and the labels of their nodes stay as they are. Swarm hands out no secret, so there are new ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ops import backend, checkpoint, inventory, resume, stack
from ops.bootstrap import state
from ops.bootstrap.console import Problem, say
from ops.inventory import NAMESPACE, Inventory, Item


def recover(name: str) -> None:
    """Bring the stack's state back, and deploy; changes nothing where nothing is wrong."""
    restored = backend.restore(name)
    if name == stack.LOCAL:
        stack.prepare_machine()
    stack.init(name)
    before, found = resume.look(name)
    wrong = (restored, before.pending, found.gone, found.made, found.unknown, found.other_swarm)
    if not any(wrong):
        if not before.on_swarm:
            raise Problem(f"there is nothing of stack {name} here: make deploy STACK={name}")
        say(f"stack {name}: its state and the swarm agree, so there is nothing to recover")
        return
    flags = resume.REFRESH if restored else ()
    stack.deploy_again(name, *flags, taken=_taken(name, found.unknown), forget="always")
    resume.clean_up(name, services=False)
    say(f"stack {name} is recovered; its images, their volume and their node are those of before")
    if found.unknown and not before.on_swarm:
        _tell_passwords(name)


def _taken(name: str, services: Sequence[Item]) -> dict[str, str]:
    """Ids by name of these services, and of the networks that could be theirs."""
    if not services:
        return {}
    known, there = checkpoint.read(name), inventory.take(name)
    for service in services:
        _require_ours(name, service, there)
        _require_label(service, there)
    # Of the networks the program takes those alone that the stack is to make.
    networks = {
        each.name: each.id for each in there.networks if each.id not in known.ids("networks")
    }
    return {**networks, **{each.name: each.id for each in services}}


def _require_ours(name: str, service: Item, there: Inventory) -> None:
    """Raise a Problem where the service is one that `docker stack deploy` made."""
    secrets = [each.name for each in there.secrets if each.id in service.secrets]
    if service.name.endswith("_registry") and not any(
        re.fullmatch(resume.SECRETS, secret) for secret in secrets
    ):
        source = service.labels[NAMESPACE]
        raise Problem(
            f"{service.name} wasn't deployed by this program. To take over such a registry:\n"
            f"      make adopt STACK={name} FROM={source}"
        )


def _require_label(service: Item, there: Inventory) -> None:
    """Raise a Problem where no node has the label of the service's volume: it would start empty."""
    for constraint in service.constraints:
        label = re.match(r"node\.labels\.(\S+)\s*==\s*true$", constraint)
        if label and not there.has_label(label[1]):
            raise Problem(
                f"{service.name} belongs on the node with the label {label[1]}, and no node has it."
                f" See where it last ran, and give it back to that node:\n"
                f"      docker service ps {service.name}\n"
                f"      docker node update --label-add {label[1]}=true NODE"
            )


def _tell_passwords(name: str) -> None:
    config = state.config(name, secrets=True)
    given = json.loads(config.get("registry:passwords") or "{}")
    outputs = stack.outputs(name)
    new = [user for user in outputs.get("passwords") or {} if user not in given]
    if new:
        say(
            f"new passwords: {', '.join(new)}. They were generated, and nobody has the old ones"
            f" but who wrote them down:\n"
            f"      pulumi stack output passwords --show-secrets --stack {name}"
        )
    if given:
        say(f"as before, since they were given: {', '.join(given)}")
    if outputs.get("uiPasswords"):
        say(
            f"new passwords of Traefik's dashboard: {', '.join(outputs['uiPasswords'])}\n"
            f"      pulumi stack output uiPasswords --show-secrets --stack {name}"
        )
