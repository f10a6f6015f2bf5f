"""What a stack's earlier deployments came to, as Pulumi notes it in every backend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ops.bootstrap.console import UserError, run, say
from ops.bootstrap.environment import deploy_command


def deployed_commit(stack: str) -> str:
    """Return the commit of the stack's last deployment that came up; UserError if there is none."""
    raw = run(["pulumi", "stack", "history", "--json", "--stack", stack])
    return last_commit(stack, json.loads(raw))


def entries(stack: str, count: int = 20) -> Sequence[Mapping[str, Any]]:
    """Return the last entries, the newest first."""
    command = ["pulumi", "stack", "history", "--json", "--stack", stack]
    return list(json.loads(run([*command, "--page-size", str(count)])))


def last_commit(stack: str, entries: Iterable[Mapping[str, Any]]) -> str:
    """Return the commit of the first entry, which is the newest, that deployed the stack."""
    for entry in entries:
        if entry["kind"] not in ("update", "destroy"):
            continue
        if entry["result"] != "succeeded":
            say(f"stack {stack}: the {entry['kind']} of {entry['startTime']} failed; looking back")
            continue
        if entry["kind"] == "destroy":
            break
        if commit := entry["environment"].get("git.head"):
            return str(commit)
        raise UserError(
            f"stack {stack} was deployed at {entry['startTime']} from a folder without git: what"
            " it is to be compared with isn't known. Deploy it from a checkout"
        )
    raise UserError(f"stack {stack} isn't deployed: {deploy_command(stack)}")
