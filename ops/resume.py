"""What an interrupted run left half done is brought to an end before the next one begins.

Pulumi notes what it is about to do, does it, and notes that it is done. A run that dies, or is
cancelled, between two of these leaves a state that says less than the swarm has, or more. So the
two are compared first: what is gone leaves the state, and what this stack made comes into it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from components.swarm import NAMESPACE
from ops import backend, checkpoint, inventory
from ops.bootstrap.console import UserError, say
from ops.checkpoint import KINDS, Checkpoint, Resource
from ops.config import Config
from ops.inventory import Inventory, Item

if TYPE_CHECKING:
    from ops.stack import Stack

SERVICES = r"registry|redis|proxy|socket_proxy|token|gc|backup|mirror-[a-z0-9-]+"
"""Pattern of the names of a stack's services, after the name of the stack."""
SECRETS = r"[a-z0-9-]+-[0-9a-f]{7}"
"""Pattern of the names of its secrets; Pulumi adds digits, since a new text needs a new name."""
REFRESH = ("--refresh", "--run-program")
"""Flags of a run that reads everything anew, from the engine that the settings name."""

Forget = Literal["never", "at home", "always"]
"""Permission to drop a swarm that is gone from the state. `at home`: only if the new swarm consists
of this machine alone and has the stack's volumes."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """Names of all that this program makes for a stack."""

    stack: str
    """`registry:stackName`."""
    network: str
    """`registry:network`."""

    def has_service(self, service: Item) -> bool:
        """Return whether it is the stack's, made by whichever checkout or by `docker stack`."""
        named = re.fullmatch(rf"{re.escape(self.stack)}_({SERVICES})", service.name)
        return named is not None and service.labels.get(NAMESPACE) == self.stack

    def has_job(self, service: Item) -> bool:
        """Return whether it is a job beside the stack's registry (`ops/job.py`)."""
        named = service.name.startswith(f"{self.stack}_{inventory.JOB}")
        return named and service.labels.get(NAMESPACE) == self.stack

    def has_network(self, network: Item) -> bool:
        """Return whether this program made it for the stack."""
        expected = (self.network, f"{self.stack}_redis", f"{self.stack}_socket_proxy")
        return network.name in expected and network.labels.get(NAMESPACE) == self.stack

    def has_secret(self, secret: Item) -> bool:
        """Return whether this program made it for the stack."""
        named = re.fullmatch(SECRETS, secret.name)
        return named is not None and secret.labels.get(NAMESPACE) == self.stack


def names(config: Config) -> Names:
    """Return what a stack's configuration says of names."""
    return Names(stack=config.swarm_stack, network=config.network)


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Differences between a stack's state and the swarm."""

    missing: Sequence[Resource] = ()
    """Resources of the state that are on the swarm no more."""
    unrecorded: Sequence[Item] = ()
    """Services and networks that a run of this state made, which it doesn't know."""
    foreign: Sequence[Item] = ()
    """Services of the stack's name that another state made."""
    jobs: Sequence[Item] = ()
    """Jobs beside the stack's registry, at work or left by a command that was killed."""
    unused_secrets: Sequence[Item] = ()
    """Secrets of the stack that neither the state knows nor any service uses."""
    other_swarm: bool = False
    """Nothing of the state is on the swarm: it is another one, or was made anew."""
    at_home: bool = False
    """The swarm has one node, and on it are the volumes that the state remembers."""
    labelled: bool = True
    """The nodes of these volumes have their labels."""


def compare(state: Checkpoint, swarm: Inventory, names: Names) -> Differences:
    """Hold a stack's state against its swarm.

    Whoever made a service can be seen: it uses secrets and networks that the same state has. A
    network with the stack's label, and nobody else's service on it, is this stack's.
    """
    missing = [each for each in state.on_swarm if each["id"] not in swarm.ids(KINDS[each["type"]])]
    services = [each for each in swarm.services if names.has_service(each)]
    strangers = [each for each in services if each.id not in state.ids("services")]
    unrecorded = [
        each
        for each in strangers
        if each.secrets & state.ids("secrets") or each.networks & state.ids("networks")
    ]
    ours = state.ids("services") | {each.id for each in unrecorded}
    others = [each for each in swarm.services if each.id not in ours]
    in_use = state.ids("networks").union(*(each.networks for each in others))
    networks = [
        each for each in swarm.networks if names.has_network(each) and each.id not in in_use
    ]
    secrets = state.ids("secrets").union(*(each.secrets for each in swarm.services))
    return Differences(
        unused_secrets=tuple(
            each for each in swarm.secrets if names.has_secret(each) and each.id not in secrets
        ),
        missing=tuple(missing),
        jobs=tuple(filter(names.has_job, swarm.services)),
        unrecorded=(*networks, *unrecorded),
        foreign=tuple(each for each in strangers if each not in unrecorded),
        other_swarm=state.cluster != swarm.cluster
        if state.cluster
        else bool(missing) and len(missing) == len(state.on_swarm),
        at_home=len(swarm.node_labels) == 1 and set() < state.volumes <= swarm.volumes,
        labelled=all(map(swarm.has_label, state.labels)),
    )


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Work that an interrupted run leaves to the next `pulumi up`."""

    flags: Sequence[str] = ()
    imports: Mapping[str, str] = field(default_factory=dict)
    """Ids by name of services and networks that it takes into the state."""
    leaves_secrets: bool = False
    """There are secrets to be removed afterwards."""
    swarm: str = ""
    """Id of the swarm of before, which is no more."""


def finish(stack: Stack, *, forget: Forget = "never") -> Rest:
    """Bring the stack's state in line with the swarm; return what the next run does of the rest.

    Waits for a run that goes on. Raises UserError when the swarm isn't the one that the stack was
    deployed to, unless the state may `forget` that one, and the volumes are found again.
    """
    state, differences = inspect(stack)
    swarm = state.cluster if differences.other_swarm else ""
    if differences.other_swarm:
        state, differences = (
            _forgotten(stack, state, differences, forget),
            Differences(unused_secrets=differences.unused_secrets),
        )
    _prune_state(stack, state, differences)
    if differences.jobs:
        # One whose command was killed holds on to secrets that this run may remove.
        from ops.job import remove_ended

        with inventory.connected(stack.name, stack.endpoint) as client:
            remove_ended(client, [each.id for each in differences.jobs])
    imports = {each.name: each.id for each in differences.unrecorded}
    if imports:
        items = ", ".join(sorted(imports))
        say(f"stack {stack.name}: taking into its state what is there: {items}")
    # The state has what was before the update, and the swarm may have what came after.
    flags = REFRESH if "updating" in state.pending else ()
    return Rest(
        flags=flags,
        imports=imports,
        leaves_secrets=bool(differences.unused_secrets),
        swarm=swarm,
    )


def foresee(stack: Stack) -> Mapping[str, str]:
    """Return what the next run of the stack takes over, ids by name; touches nothing.

    Previews may be given an engine that shows less: then there is nothing to foresee.
    """
    try:
        _, differences = _compared(stack)
    except UserError:
        return {}
    if differences.unrecorded:
        say(f"stack {stack.name}: an earlier run was interrupted; the next one begins by ending it")
    return {each.name: each.id for each in differences.unrecorded}


def finish_before_destroying(stack: Stack, *, forget: Forget = "never") -> Rest:
    """Bring an interrupted run to an end; what it made without noting it is removed.

    So are jobs beside the registry, such as `make gc`, which end at a safe point.
    """
    state, differences = inspect(stack)
    if differences.foreign and not state.on_swarm:
        raise UserError(
            f"stack {stack.name} runs on this swarm ({differences.foreign[0].name}), and this state"
            " doesn't know it: it was lost, or is elsewhere. To take it over, and then remove it:\n"
            f"      make recover STACK={stack.name} && make down STACK={stack.name}"
        )
    swarm = state.cluster if differences.other_swarm else ""
    if differences.other_swarm:
        state, differences = _forgotten(stack, state, differences, forget), Differences()
    _prune_state(stack, state, differences)
    if differences.jobs:
        # They use its secrets and networks.
        jobs = [each.id for each in differences.jobs]
        inventory.take(stack.name, stack.endpoint, {"services": jobs})
    if differences.unrecorded:
        clean_up(stack)
    return Rest(swarm=swarm)


def inspect(stack: Stack) -> tuple[Checkpoint, Differences]:
    """Return the stack's state, once no other run is at it, and how the swarm differs."""
    backend.wait_for_lock(stack.name)
    return _compared(stack)


def _compared(stack: Stack) -> tuple[Checkpoint, Differences]:
    """Return the stack's state, and how the swarm differs."""
    # Three things that take some tenths of a second: two commands of Pulumi's, and an import.
    with ThreadPoolExecutor() as pool:
        state = pool.submit(checkpoint.read, stack.name)
        pool.submit(import_module, inventory.CLIENT)
        swarm = inventory.take(stack.name, stack.endpoint)
        return state.result(), compare(state.result(), swarm, names(stack.config))


def _prune_state(stack: Stack, state: Checkpoint, differences: Differences) -> None:
    """Take what is gone, and what was never finished, out of the state."""
    if state.pending or differences.missing:
        say(
            f"stack {stack.name}: an earlier run was interrupted; its state is compared with the"
            " swarm"
        )
        for each in differences.missing:
            say(f"  gone: {KINDS[each['type']][:-1]} {(each.get('inputs') or {}).get('name', '')}")
        checkpoint.write(stack.name, state.without(differences.missing))


def clean_up(stack: Stack, *, services: bool = True) -> None:
    """Remove what runs of the stack have left that its state doesn't know, and nobody uses.

    These are the secrets of before; of a stack that is being removed also `services` and networks
    that an interrupted run made.
    """
    _, differences = _compared(stack)
    unrecorded = differences.unrecorded if services else ()
    if unrecorded or differences.unused_secrets:
        items = sorted(each.name for each in (*unrecorded, *differences.unused_secrets))
        say(f"stack {stack.name}: removing what earlier runs have left: {', '.join(items)}")
        ids = [each.id for each in unrecorded]
        secrets = [each.id for each in differences.unused_secrets]
        remove = {"services": ids, "networks": ids, "secrets": secrets}
        inventory.take(stack.name, stack.endpoint, remove)


def _forgotten(
    stack: Stack, state: Checkpoint, differences: Differences, forget: Forget
) -> Checkpoint:
    """Return the state without the swarm that is no more."""
    placed = differences.labelled or differences.at_home
    if not placed or not (forget == "always" or (forget == "at home" and differences.at_home)):
        commands = "".join(
            f"      docker node update --label-add {label}=true NODE   # the one that has it\n"
            for label in state.labels
            if not placed
        )
        raise UserError(
            f"nothing of stack {stack.name} is on this swarm: it is another one than the stack was"
            " deployed to, or was made anew since. If the engine is the wrong one, name the right"
            " one with DOCKER_HOST, or:\n"
            f"      pulumi config set --stack {stack.name} docker:host ssh://USER@MANAGER\n"
            "  If the swarm was made anew, this deploys to it, with the images that are in the"
            f" volume:\n{commands}"
            f"      make recover STACK={stack.name}"
        )
    say(
        f"stack {stack.name}: the swarm was made anew; services, networks and secrets are made"
        " again"
    )
    # Locations that name no swarm are of an earlier version, and bound to nodes of the old one.
    locations = () if state.cluster else state.volume_locations
    rest = state.without([*state.on_swarm, *locations])
    checkpoint.write(stack.name, rest)
    return rest
