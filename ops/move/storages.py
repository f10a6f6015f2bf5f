"""The move of images to another storage, while they are in use: files, a bucket, or its folder.

The settings name the new storage, and the state remembers the old one. What happens is the same as
in a move to another node, but that the two programs have different storages instead of different
nodes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.run.takeover import Move
from ops.bootstrap.console import UserError, confirm, say
from ops.move.copying import LONGEST_PAUSE, Source, run_step, say_pause, source
from ops.move.gate import gate_labels
from ops.move.storage_route import StorageRoute, find_storage_route
from ops.quantities import size

if TYPE_CHECKING:
    from ops.stack import Stack


def move(stack: Stack) -> None:
    """Move the images of a stack to the storage that its settings name.

    UserError when they can't go there, or when a step fails; until the registry uses the new
    storage, it serves on as before then. Begun again, it goes on.
    """
    route = find_storage_route(stack)
    if route.is_over:
        say("the registry uses the new storage already; this ends the move")
        stack.deploy_again(move=_consent(route))
        return _report(stack, route)
    _copy(stack, route)
    labels = gate_labels(route.labels, route.login_labels)
    with source(stack, route.source, "move-gate", labels) as files:
        say("the rest is copied, and pushes wait")
        run_step(stack, route.target, files, "rest")
        pause = _go_over(stack, route, files)
    say_pause(pause)
    return _report(stack, route)


def _consent(route: StorageRoute) -> Move:
    return Move(moved_from=route.consent, node=route.node_id)


def _copy(stack: Stack, route: StorageRoute) -> None:
    """Ask whoever is there, and copy the images while the registry is in use."""
    gate_labels(route.labels, route.login_labels)
    with source(stack, route.source, "move-source") as files:
        try:
            counts = run_step(stack, route.target, files, "look")["counts"]
        except UserError as error:
            raise UserError(_with_remedy(stack, route, str(error))) from None
        if 0 <= counts["free"] < counts["size"]:
            raise UserError(
                f"{size(counts['size'])} are to be copied, and {route.new_text} has room for"
                f" {size(counts['free'])}"
            )
        removed = (
            f", remove {counts['removed']} files of an older copy" if counts["removed"] else ""
        )
        amount = f"{size(counts['size'])} of {size(counts['bytes'])}"
        confirm(
            f"Copy {amount} from {route.old_text} to {route.new_text}{removed}, and let the"
            " registry use that? Pulls go on; pushes wait for a deployment,"
            f" {LONGEST_PAUSE} at most."
        )
        say("the images are copied, while the registry is in use")
        run_step(stack, route.target, files, "copy")


def _with_remedy(stack: Stack, route: StorageRoute, error: str) -> str:
    """Return an error of the first look, with what to type."""
    from ops.doctor.store import store_of
    from ops.doctor.store_errors import remedy
    from settings.remedies import for_stack

    store = store_of(stack.whole_config)
    hint = remedy(store, error) if store else None
    where = f"{error}\n  The images were to go to {route.new_text}."
    return f"{where} {for_stack(hint, stack.name)}" if hint else where


def _go_over(stack: Stack, route: StorageRoute, files: Source) -> Mapping[str, Any]:
    """Have the registry use the new storage, and return how long pushes waited."""
    say(f"the registry goes to {route.new_text}")
    stack.refresh()
    try:
        stack.deploy_again(move=_consent(route))
    except (UserError, KeyboardInterrupt) as error:
        with contextlib.suppress(UserError):
            if find_storage_route(stack).is_over:
                say(f"to end the move: make move STACK={stack.name}")
                if isinstance(error, UserError):
                    run_step(stack, route.target, files, "end")
        raise
    pause: Mapping[str, Any] = run_step(stack, route.target, files, "end")["pause"]
    return pause


def _report(stack: Stack, route: StorageRoute) -> None:
    say(
        f"the images are in {route.new_text}, as {stack.file.name} says: commit it. The old copy"
        f" stays until you {_removal(route.old)}"
    )


def _removal(old: Mapping[str, Any]) -> str:
    """Return how an old copy is removed, from the form in which the state keeps its location."""
    match old.get("kind", "volume"):
        case "volume":
            return f"type on {old['node']}:\n      docker volume rm {old['volume']}"
        case "shared volume":
            return f"delete the folder docker/registry in volume {old['volume']}"
    folder = f"{old['folder']}/" if old.get("folder") else ""
    path = f"{folder}docker/registry/"
    if old["driver"] != "s3":
        return f"delete {path} in {old['bucket']}"
    endpoint = f" --endpoint-url {old['endpoint']}" if old.get("endpoint") else ""
    return f"type:\n      aws s3 rm --recursive s3://{old['bucket']}/{path}{endpoint}"
