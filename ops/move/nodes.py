"""The move of images from a volume of one node to that of another, while they are in use.

A program on the node that has them hands out the files, and another one copies them. Then Traefik
leads requests to a gate, where those that write wait until the rest is copied, the registry runs on
the new node, and what the old one still finished has come after it. Those that read wait for the
moment in which no registry runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.swarm.inspect import Node, read_node
from components.swarm.location import IMAGES
from components.swarm.placement import holders_of
from ops import inventory
from ops.bootstrap.console import UserError, confirm, run, say
from ops.move.copying import LONGEST_PAUSE, Source, run_step, source
from ops.move.gate import gate_labels
from ops.move.route import Route, find_route
from ops.program_log import size_text
from settings.way_back import PREFIXES

if TYPE_CHECKING:
    from ops.stack import Stack

_KEY = PREFIXES[IMAGES]


def move(stack: Stack, wanted: str) -> None:
    """Move the images of a stack to the node `wanted`, an id or a host name.

    UserError when they can't go there, or when a step fails; until the registry runs on the new
    node, it serves on as before then. Begun again, it goes on.
    """
    route = find_route(stack, wanted)
    if route.is_over:
        say(f"the registry runs on {route.new.name} already; this ends the move")
    else:
        _copy(stack, route)
    gate = {} if route.is_over else gate_labels(route.labels)
    with source(stack, route.old, "move-gate", gate) as files:
        if not route.is_over:
            say("the rest is copied, and pushes wait")
            run_step(stack, route.new, files, "rest")
        pause = _go_over(stack, route, files)
    _report(stack, route, pause)


def _copy(stack: Stack, route: Route) -> None:
    """Ask whoever is there, and copy the images while the registry is in use."""
    gate_labels(route.labels)
    with source(stack, route.old, "move-source") as files:
        counts = run_step(stack, route.new, files, "look")["counts"]
        if counts["size"] > counts["free"]:
            raise UserError(
                f"{size_text(counts['size'])} are to be copied, and {route.new.name} has"
                f" {size_text(counts['free'])} free"
            )
        removed = f", remove {counts['removed']} other files there" if counts["removed"] else ""
        amount = f"{size_text(counts['size'])} of {size_text(counts['bytes'])}"
        confirm(
            f"Copy {amount} from {route.old.name} to volume {route.volume} on {route.new.name}"
            f"{removed}, and let the registry run there? Pulls go on, and wait for seconds while it"
            f" starts there; pushes wait for a deployment, {LONGEST_PAUSE} at most."
        )
        say("the images are copied, while the registry is in use")
        run_step(stack, route.new, files, "copy")


def _go_over(stack: Stack, route: Route, files: Source) -> Mapping[str, Any]:
    """Have the registry run on the new node, by consent, and return how long pushes waited.

    What is set for that goes back when the label hasn't moved.
    """
    node, consent = f"registry:{_KEY}Node", f"registry:{_KEY}MovedFrom"
    before = stack.settings.volumes.images.node
    _config(stack, "set", consent, route.old.id)
    _config(stack, "set", node, route.wanted)
    stack.refresh()
    try:
        stack.deploy_again()
        pause: Mapping[str, Any] = run_step(stack, route.new, files, "end")["pause"]
    except (UserError, KeyboardInterrupt):
        if _still_on(stack, route.old):
            _config(stack, "rm", consent)
            _config(stack, *(["set", node, before] if before else ["rm", node]))
        else:
            say(f"to end the move: make move NODE={route.wanted} STACK={stack.name}")
        raise
    _config(stack, "rm", consent)
    stack.refresh()
    return pause


def _config(stack: Stack, verb: str, *args: str) -> None:
    run(["pulumi", "config", verb, "--stack", stack.name, *args])


def _still_on(stack: Stack, node: Node) -> bool:
    """Return whether the label is still on `node`, so that the registry serves there as before."""
    label = f"{stack.config.swarm_stack}.registry-data"
    with inventory.connected(stack.name, stack.endpoint) as client:
        return [each.id for each in holders_of(list(map(read_node, client.nodes())), label)] == [
            node.id
        ]


def _report(stack: Stack, route: Route, pause: Mapping[str, Any]) -> None:
    if pause["expired"]:
        say(f"pushes waited for {LONGEST_PAUSE}, and went on before the end; nothing is lost")
    elif not route.is_over:
        say(f"pushes waited for {pause['seconds']:.0f} s, and went on by themselves")
    say(
        f"the images are on {route.new.name}; {stack.file.name} says so: commit it. The old copy"
        f" stays on {route.old.name} until you type there:"
        f"\n      docker volume rm {route.volume}"
    )
