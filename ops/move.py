"""`make move`: the images of a stack go from a volume of one node to that of another, while in use.

A program on the node that has them hands out the files, and another one copies them. Then Traefik
leads requests to a gate, where those that write wait until the rest is copied, the registry runs on
the new node, and what the old one still finished has come after it. Those that read wait for the
moment in which no registry runs.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.distribution.config import PORT
from components.swarm.inspect import Node, read_node
from components.swarm.location import IMAGES
from components.swarm.placement import holders_of, obstacle
from components.swarm.service import service_name
from components.traefik.flags import DISCOVERY_SECONDS
from ops import inventory
from ops.bootstrap.console import UserError, confirm, run, say
from ops.job import Job, run_job, running, service_named
from ops.program_log import fields_of, size_text
from settings.way_back import PREFIXES

if TYPE_CHECKING:
    from ops.stack import Stack

PROGRAM = "/bin/registry-move"
TOKEN_FILE = "/run/secrets/move-token"  # noqa: S105 - a path
FILES_PORT, GATE_PORT = 5002, 5001
"""Ports of the program on the node that has the images: files, and the gate."""
LONGEST_PAUSE = "5m"
"""Time after which writes go on, whatever has become of the move."""
_REPLACED = ("traefik.http.routers.", "traefik.http.services.", "com.docker.")
_ROUTER = re.compile(r"traefik\.http\.routers\.([^.]+)\.(.+)")
_PORT = re.compile(r"traefik\.http\.services\.([^.]+)\.loadbalancer\.server\.port")


@dataclass(frozen=True, kw_only=True)
class Route:
    """A volume's way from one node to another."""

    old: Node
    new: Node
    wanted: str
    """Host name or id of the new node, as it was typed."""
    volume: str
    labels: Mapping[str, str]
    """Labels of the registry's service."""
    is_over: bool
    """The registry runs on the new node already: only what follows is left to do."""


def move(stack: Stack, wanted: str) -> None:
    """Move the images of a stack to the node `wanted`, an id or a host name.

    UserError when they can't go there, or when a step fails; until the registry runs on the new
    node, it serves on as before then. Begun again, it goes on.
    """
    route = _route(stack, wanted)
    if route.is_over:
        say(f"the registry runs on {route.new.name} already; this ends the move")
    else:
        _copy(stack, route)
    gate = {} if route.is_over else gate_labels(route.labels)
    with _source(stack, route, "move-gate", gate) as source:
        if not route.is_over:
            say("the rest is copied, and pushes wait")
            _run(stack, route, source, "rest")
        pause = _go_over(stack, route, source)
    _report(stack, route, pause)


_KEY = PREFIXES[IMAGES]


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


def _route(stack: Stack, wanted: str) -> Route:
    """Return the way to the node `wanted`; UserError when there is none."""
    name = service_name(stack.config.swarm_stack, "registry")
    with inventory.connected(stack.name, stack.endpoint) as client:
        nodes = [read_node(raw) for raw in client.nodes()]
        service = service_named(client, name)
    if service is None:
        raise UserError(
            f"there is no service {name} on the swarm; deploy it first:"
            f" make deploy STACK={stack.name}"
        )
    spec = service["Spec"]
    task = spec["TaskTemplate"]
    constraints: Sequence[str] = (task.get("Placement") or {}).get("Constraints") or []
    label = f"{stack.config.swarm_stack}.registry-data"
    by_label = [each for each in constraints if f"node.labels.{label}" in each.replace(" ", "")]
    if not by_label:
        raise UserError(
            f"the images of stack {stack.name} aren't in a volume of one node, so there is nothing"
            " to move between nodes"
        )
    new = _named(nodes, wanted)
    if reason := obstacle(new, [each for each in constraints if each not in by_label]):
        raise UserError(f"NODE={wanted}: Swarm would start no registry there: it {reason}")
    holders = holders_of(nodes, label)
    if len(holders) != 1:
        raise UserError(f"{len(holders)} nodes have the label {label}=true, and one should")
    (old,) = holders
    is_over = old.id == new.id
    if is_over:
        before = stack.settings.volumes.images.moved_from
        left = [node for node in nodes if before in (node.id, node.name) and node.id != new.id]
        if not left:
            raise UserError(f"the images are on {new.name} already")
        (old, *_) = left
    mounts = task["ContainerSpec"].get("Mounts") or []
    return Route(
        old=old,
        new=new,
        wanted=wanted,
        volume=next(each["Source"] for each in mounts if each["Type"] == "volume"),
        labels=spec.get("Labels") or {},
        is_over=is_over,
    )


def _named(nodes: Sequence[Node], wanted: str) -> Node:
    named = [node for node in nodes if wanted in (node.id, node.name)]
    if len(named) == 1:
        return named[0]
    problem = "of that name there are several: give the id" if named else "there is no such node"
    listed = ", ".join(f"{node.name} ({node.id})" for node in nodes)
    raise UserError(f"NODE={wanted}: {problem}. The swarm has {listed}")


def gate_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels by which Traefik leads the registry's requests to the gate, by its routers.

    `labels` are those of the registry's service. UserError when Traefik knows it in no way that
    this program made.
    """
    port = next(filter(None, map(_PORT.fullmatch, labels)), None)
    if port is None or labels.get("traefik.enable") != "true":
        raise UserError("Traefik doesn't lead to this registry, so nothing can make pushes wait")
    # Middlewares among them: those of the registry go while none of its tasks runs.
    routed = {key: text for key, text in labels.items() if not key.startswith(_REPLACED)}
    gate = f"{port[1]}-move"
    routed[f"traefik.http.services.{gate}.loadbalancer.server.port"] = str(GATE_PORT)
    for key, text in labels.items():
        if not (match := _ROUTER.fullmatch(key)):
            continue
        router, option = match.groups()
        if option == "rule":
            # Of two rules the longer one wins.
            text = f"({text}) && PathPrefix(`/v2/`)"
        elif option == "service":
            text = gate
        routed[f"traefik.http.routers.{router}-move.{option}"] = text
    return routed


@dataclass(frozen=True)
class _Source:
    """The program on the node that has the images."""

    address: str
    token: str


@contextlib.contextmanager
def _source(
    stack: Stack, route: Route, name: str, labels: Mapping[str, str] | None = None
) -> Iterator[_Source]:
    """Hand out the files until the block ends; with `labels` for Traefik it is the gate too."""
    token = secrets.token_urlsafe(32)
    registry = service_name(stack.config.swarm_stack, "registry")
    command = ["serve", "--registry", f"http://{registry}:{PORT}", "--limit", LONGEST_PAUSE]
    command += ["--files", f":{FILES_PORT}", "--writes", f":{GATE_PORT}"]
    job = Job(
        name=name,
        title="the move",
        command=[PROGRAM, *command, "--notice", f"{DISCOVERY_SECONDS if labels else 0}s"],
        secrets={TOKEN_FILE: token},
        constraints=[f"node.id == {route.old.id}"],
        labels=labels or {"traefik.enable": "false"},
    )
    with running(stack, job):
        address = f"http://{service_name(stack.config.swarm_stack, f'job-{name}')}:{FILES_PORT}"
        yield _Source(address, token)


def _copy(stack: Stack, route: Route) -> None:
    """Ask whoever is there, and copy the images while the registry is in use."""
    gate_labels(route.labels)
    with _source(stack, route, "move-source") as source:
        counts = _run(stack, route, source, "look")["counts"]
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
        _run(stack, route, source, "copy")


def _run(stack: Stack, route: Route, source: _Source, step: str) -> Mapping[str, Any]:
    """Run a step of the copy on the new node, and return what it did."""
    command = [PROGRAM, step, "--source", source.address, "--notice", f"{DISCOVERY_SECONDS}s"]
    job = Job(
        name="move",
        title="the move",
        command=command,
        secrets={TOKEN_FILE: source.token},
        constraints=[f"node.id == {route.new.id}"],
    )
    done: dict[str, Any] = {}
    code = run_job(stack, job, lambda line: done.update(_shown(line)))
    if code != 0 or "counts" not in done:
        raise UserError(f"the move stopped: {done.get('msg') or f'exit code {code}'}")
    return done


def _shown(line: str) -> Mapping[str, Any]:
    """Return the fields of a line of the program's log, and show how far it is."""
    fields = fields_of(line)
    if fields is None:
        say(line)
        return {}
    if fields.get("msg") == "copying":
        say(f"copied: {size_text(fields['bytes'])} of {size_text(fields['of'])}")
    return fields


def _go_over(stack: Stack, route: Route, source: _Source) -> Mapping[str, Any]:
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
        pause: Mapping[str, Any] = _run(stack, route, source, "end")["pause"]
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
