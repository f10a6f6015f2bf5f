"""`make retention`: tags go by the rules of `registry:retention`, or are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.retention import RULES_FILE, rules_text
from ops.bootstrap.console import UserError
from ops.collection import KEEP_FILE, collection_of, digests_to_keep, run_program

if TYPE_CHECKING:
    from ops.stack import Stack


def retain(stack: Stack, *, dry_run: bool) -> None:
    """Put the tags aside that the rules let go, or show which these are.

    UserError when there is no rule, or it fails.
    """
    options = collection_of(stack)
    if not options.retention:
        setting = f"pulumi config set --stack {stack.name} --path 'registry:retention[0]"
        raise UserError(
            f"stack {stack.name} has no registry:retention, so all tags stay. A rule:\n"
            f"      {setting}.repositories' 'team/**'\n"
            f"      {setting}.keep' 10\n"
            f"      {setting}.olderThan' 720h"
        )
    arguments = ["retention", "--rules", RULES_FILE, "--keep-digests", KEEP_FILE]
    files = {RULES_FILE: rules_text(options.retention), KEEP_FILE: digests_to_keep(stack)}
    if dry_run:
        arguments.append("--dry-run")
    report = run_program(stack, options, arguments, files, title="retention")
    if not dry_run and report.summary.get("tags_aside"):
        print(f"they come back with: make gc STACK={stack.name} UNDO=1")
