"""The move of images from a volume of one node to that of another, while they are in use.

A program on the node that has them hands out the files, and another one copies them. Then Traefik
leads requests to a gate, where those that write wait until the rest is copied, the registry runs on
the new node, and what the old one still finished has come after it. Those that read wait for the
moment in which no registry runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.run.takeover import Move
from components.swarm.location import IMAGES
from ops.bootstrap.console import UserError, confirm, run, say
from ops.move.copying import LONGEST_PAUSE, Side, Source, run_step, say_pause, source
from ops.move.gate import gate_labels
from ops.move.route import Route, find_route, is_on, note_move
from ops.quantities import size
from settings.way_back import PREFIXES

if TYPE_CHECKING:
    from ops.stack import Stack

_NODE = f"registry:{PREFIXES[IMAGES]}Node"


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
    gate = {} if route.is_over else gate_labels(route.labels, route.login_labels)
    with source(stack, Side.on(route.old), "move-gate", gate) as files:
        if not route.is_over:
            say("the rest is copied, and pushes wait")
            run_step(stack, Side.on(route.new), files, "rest")
        pause = _go_over(stack, route, files)
    _report(stack, route, pause)


def _copy(stack: Stack, route: Route) -> None:
    """Ask whoever is there, and copy the images while the registry is in use."""
    gate_labels(route.labels)
    with source(stack, Side.on(route.old), "move-source") as files:
        counts = run_step(stack, Side.on(route.new), files, "look")["counts"]
        if counts["size"] > counts["free"]:
            raise UserError(
                f"{size(counts['size'])} are to be copied, and {route.new.name} has"
                f" {size(counts['free'])} free"
            )
        removed = f", remove {counts['removed']} other files there" if counts["removed"] else ""
        amount = f"{size(counts['size'])} of {size(counts['bytes'])}"
        confirm(
            f"Copy {amount} from {route.old.name} to volume {route.volume} on {route.new.name}"
            f"{removed}, and let the registry run there? Pulls go on, and wait for seconds while it"
            f" starts there; pushes wait for a deployment, {LONGEST_PAUSE} at most."
        )
        say("the images are copied, while the registry is in use")
        run_step(stack, Side.on(route.new), files, "copy")


def _go_over(stack: Stack, route: Route, files: Source) -> Mapping[str, Any]:
    """Have the registry run on the new node, and return how long pushes waited.

    The settings name the new node once the registry is there, and the consent is this deployment's
    alone. So a later one, after whatever became of this command, goes where the images are.
    """
    note_move(stack, route.label, route.old.id)
    say(f"the registry goes to {route.new.name}")
    try:
        stack.deploy_again(move=Move(moved_from=route.old.id, node=route.new.id))
        run(["pulumi", "config", "set", "--stack", stack.name, _NODE, route.wanted])
        stack.refresh()
        pause: Mapping[str, Any] = run_step(stack, Side.on(route.new), files, "end")["pause"]
    except (UserError, KeyboardInterrupt):
        if is_on(stack, route.label, route.old):
            note_move(stack, route.label, None)
        else:
            say(f"to end the move: make move NODE={route.wanted} STACK={stack.name}")
        raise
    note_move(stack, route.label, None)
    return pause


def _report(stack: Stack, route: Route, pause: Mapping[str, Any]) -> None:
    if pause["expired"] or not route.is_over:
        say_pause(pause)
    say(
        f"the images are on {route.new.name}; {stack.file.name} says so: commit it. The old copy"
        f" stays on {route.old.name} until you type there:"
        f"\n      docker volume rm {route.volume}"
    )
