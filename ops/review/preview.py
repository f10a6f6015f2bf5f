"""Pulumi's preview of a deployment: the command, and the events that it prints."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from ops.bootstrap import ROOT
from ops.bootstrap.console import say
from ops.review.step import DELETE_REPLACED, IGNORED_OPERATIONS, Step, kind


@dataclass(kw_only=True)
class Preview:
    """Steps and messages of a preview."""

    steps: dict[str, Step] = field(default_factory=dict)
    """Last step of each resource, by URN: that of a refresh comes before the one that counts."""
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    deleted_first: set[str] = field(default_factory=set)
    """URNs of resources that are replaced, and deleted before the new one is made."""
    failed: bool = False
    """The command failed; `errors` say why."""

    @property
    def shown_steps(self) -> list[Step]:
        """Steps that a reviewer is shown."""
        return [step for step in self.steps.values() if kind(step)]


def run_preview(stack: str, *flags: str, variables: Mapping[str, str] | None = None) -> Preview:
    """Run `pulumi preview` on the stack, with `flags` and `variables` of the environment."""
    say(f"previewing stack {stack}")
    args = ["--json", "--show-sames", "--non-interactive", "--color", "never", "--stack", stack]
    # Plain --json leaves the policies out.
    streaming = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
    # No time limit: it grows with the stack.
    done = subprocess.run(
        ["pulumi", "preview", *args, *flags],
        cwd=ROOT,
        env={**os.environ, **streaming, **(variables or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    message = done.stderr.strip()
    if message:
        say(message)
    preview = parse_events(done.stdout)
    preview.failed = done.returncode != 0
    # Pulumi adds this to the errors that it has printed.
    preview.errors = [error for error in preview.errors if error != "preview failed"]
    if preview.failed and not preview.errors:
        preview.errors.append(message or "Pulumi printed no error")
    return preview


def parse_events(text: str) -> Preview:
    """Return the steps and messages in `text`, which has one event on each line."""
    preview = Preview()
    messages = {"error": preview.errors, "warning": preview.warnings}
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # Pulumi prints some lines that are no events.
            continue
        if step := event.get("resourcePreEvent", {}).get("metadata"):
            _add_step(preview, step)
        elif diagnostic := event.get("diagnosticEvent"):
            # Messages of lower severity, down to debugging, have plain values in them, secrets too.
            severity = diagnostic["severity"]
            if severity in messages and not diagnostic.get("ephemeral"):
                messages[severity].append(str(diagnostic["message"]).strip())
        elif violation := event.get("policyEvent"):
            mandatory = violation["enforcementLevel"] == "mandatory"
            # The first line is the policy's own description.
            message = str(violation["message"])
            reason = message.strip().partition("\n")[2] or message
            target = preview.errors if mandatory else preview.warnings
            target.append(f"{violation['policyName']}: {reason}")
    return preview


def _add_step(preview: Preview, step: Step) -> None:
    urn = step["urn"]
    if step["op"] not in IGNORED_OPERATIONS:
        preview.steps[urn] = step
    elif step["op"] == DELETE_REPLACED and not _is_replaced(preview, urn):
        # Where the new one is made first, this step comes last.
        preview.deleted_first.add(urn)


def _is_replaced(preview: Preview, urn: str) -> bool:
    return urn in preview.steps and preview.steps[urn]["op"] == "replace"
