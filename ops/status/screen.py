"""All lines about a stack, as text of 80 columns or as JSON, and the command's exit code."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ops.bootstrap.console import UserError
from ops.status import answer, certificate, deployment, disk, drift, logins, nodes, services, upkeep
from ops.status.line import Line, State, stamp
from ops.status.snapshot import Deployed, Swarm, deployed, swarm_of

if TYPE_CHECKING:
    from ops.stack import Stack

WIDTH = 80
STATE_WIDTH, TITLE_WIDTH = 9, 14
"""Columns of states and of titles. A longer title has a line of its own."""
COMMAND_INDENT = 2 + STATE_WIDTH + 2
FROM_HERE: Sequence[Callable[[Deployed], Sequence[Line]]] = (
    answer.answer_lines,
    certificate.certificate_lines,
)
"""Questions of this machine to the registry itself."""
FROM_SWARM: Sequence[tuple[str, Callable[[Deployed, Swarm], Sequence[Line]]]] = (
    ("services", services.service_lines),
    ("nodes", nodes.node_lines),
    ("disk", disk.disk_lines),
    ("upkeep", upkeep.upkeep_lines),
    ("logins", logins.login_lines),
    ("drift", drift.drift_lines),
)
"""Questions to a manager, each with a title for when it can't be answered."""


def show(stack: Stack, form: str) -> None:
    """Print all lines about a stack, as `terminal` or `json`; a UserError if something is wrong."""
    stack.ensure()
    known = deployed(stack)
    lines = all_lines(stack, known)
    print(as_json(known, lines) if form == "json" else as_text(known, lines), flush=True)
    if overall(lines) == "wrong":
        raise UserError("what is marked as wrong above")


def all_lines(stack: Stack, known: Deployed) -> list[Line]:
    """Return all lines; where the swarm can't be asked, one that says so in place of its own."""
    from docker.errors import DockerException

    here = [line for ask in FROM_HERE for line in ask(known)]
    swarm_lines: list[Line] = []
    try:
        with swarm_of(stack, list(known.services), known.state.cluster) as swarm:
            for title, ask in FROM_SWARM:
                try:
                    swarm_lines += ask(known, swarm)
                except (DockerException, OSError) as error:  # OSError: no answer in time.
                    reason = " ".join(str(error).split())
                    swarm_lines.append(Line(title=title, state="unknown", text=reason))
    except UserError as error:
        reason = " ".join(str(error).split())
        swarm_lines = [Line(title="swarm", state="wrong", text=reason)]
    return [*here, *swarm_lines, *deployment.deployment_lines(known)]


def overall(lines: Sequence[Line]) -> State:
    """Return the gravest state of all lines; what isn't used or known counts as none."""
    states = {line.state for line in lines}
    return "wrong" if "wrong" in states else "warning" if "warning" in states else "ok"


def headline(lines: Sequence[Line]) -> str:
    """Return how things stand, in a few words."""
    counts = Counter(line.state for line in lines)
    nouns: Mapping[State, str] = {
        "wrong": "wrong",
        "warning": "warning" if counts["warning"] == 1 else "warnings",
        "unknown": "not known",
    }
    parts = [f"{counts[state]} {noun}" for state, noun in nouns.items() if counts[state]]
    return ", ".join(parts) or "all is well"


def as_text(known: Deployed, lines: Sequence[Line]) -> str:
    """Return the screen."""
    return "\n".join([f"{known.outputs.url}: {headline(lines)}", "", *map(row, lines)])


def row(line: Line) -> str:
    """Return a line with its state and its title, wrapped, and commands below it."""
    begin = f"  {line.state:{STATE_WIDTH}}{line.title:{TITLE_WIDTH}}"
    indent = " " * (2 + STATE_WIDTH + TITLE_WIDTH)
    rows = textwrap.wrap(
        line.text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    ) or [indent]
    if len(line.title) < TITLE_WIDTH:
        rows[0] = begin + rows[0][len(indent) :]
    else:
        rows.insert(0, begin)
    # Commands whole, however long: they are there to be copied.
    return "\n".join([*rows, *(f"{' ' * COMMAND_INDENT}{command}" for command in line.commands)])


def as_json(known: Deployed, lines: Sequence[Line]) -> str:
    """Return the same for programs."""
    content = {
        "stack": known.stack,
        "url": known.outputs.url,
        "at": stamp(known.now),
        "state": overall(lines),
        "lines": [
            {
                "title": line.title,
                "state": line.state,
                "text": line.text,
                "commands": line.commands,
                "facts": line.facts,
            }
            for line in lines
        ],
    }
    return json.dumps(content, indent=2)
