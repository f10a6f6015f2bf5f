"""`make gc`: one garbage collection, what it would do, and the way back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from components.garbage_collection import PROGRAM, GarbageCollectionOptions
from ops import inventory
from ops.bootstrap.console import UserError
from ops.job import Job, run_job
from ops.program_log import fields_of, in_words
from ops.quantities import size

if TYPE_CHECKING:
    from docker import APIClient

    from ops.stack import Stack

SECOND_LOOK = "1m"
"""Time after which a run looks once more for what requests under way have come to need."""
SHOWN = 20
"""Entries that a dry run names one by one."""
KEEP_FILE = "/etc/registry-gc/keep"
_DIGEST = re.compile(r"@([a-z0-9]+:[0-9a-f]{32,})$")


def collect(stack: Stack, *, dry_run: bool) -> None:
    """Run the garbage collection once, or show what it would do.

    UserError when it isn't set up, or fails.
    """
    options = collection_of(stack)
    arguments = ["run", *options.flags, "--second-look", SECOND_LOOK]
    files = {}
    if options.untagged:
        files[KEEP_FILE] = digests_to_keep(stack)
        arguments += ["--untagged", "--keep-digests", KEEP_FILE]
    run_program(stack, options, [*arguments, *(["--dry-run"] if dry_run else [])], files)


def undo(stack: Stack, run: str) -> None:
    """Bring back what a `run` put aside: its name, or `last`."""
    run_program(stack, collection_of(stack), ["undo", run], {})


def show_trash(stack: Stack) -> None:
    """Print how the last run ended, and what can be brought back, by run."""
    run_program(stack, collection_of(stack), ["list"], {})


def collection_of(stack: Stack) -> GarbageCollectionOptions:
    """Return the garbage collection of a stack; UserError when it isn't set up."""
    if options := stack.settings.gc:
        return options
    raise UserError(
        f"stack {stack.name} has no registry:gc, by which its registry runs such that a garbage"
        " collection loses nothing:\n"
        f"      pulumi config set --stack {stack.name} --path registry:gc.schedule '0 4 * * *'\n"
        f"      make deploy STACK={stack.name}"
    )


def run_program(
    stack: Stack,
    options: GarbageCollectionOptions,
    arguments: list[str],
    files: Mapping[str, str],
    title: str = "the garbage collection",
) -> Report:
    """Run `registry-gc` as a job, with its log on the terminal; UserError when it fails.

    Of all its commands one runs at a time. `title` is the run in messages.
    """
    job = Job(
        name="gc",
        title=title,
        command=[PROGRAM, *arguments],
        files=files,
        memory_mib=options.memory_mib,
    )
    # As it comes: a run takes a while, and its output may go to a file.
    report = Report(partial(print, flush=True))
    code = run_job(stack, job, report.take)
    if code != 0:
        raise UserError(report.error or f"{title} ended with exit code {code}")
    return report


def digests_to_keep(stack: Stack) -> str:
    """Return the digests that services run or would go back to, as `registry-gc` reads them."""
    with inventory.connected(stack.name, stack.endpoint) as client:
        return "".join(f"{each}\n" for each in sorted(digests_in_use(client)))


def digests_in_use(client: APIClient) -> set[str]:
    """Return the digests that a service of the swarm runs, or would go back to, of any registry."""
    return {
        match[1]
        for service in client.services()
        for image in _images(service)
        if (match := _DIGEST.search(image))
    }


def _images(service: Mapping[str, Any]) -> Iterator[str]:
    for name in ("Spec", "PreviousSpec"):
        task = (service.get(name) or {}).get("TaskTemplate") or {}
        yield (task.get("ContainerSpec") or {}).get("Image") or ""


class Report:
    """The log of `registry-gc`, as lines for a person."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._entries = 0
        self.error = ""
        """The last error that it had."""
        self.summary: Mapping[str, Any] = {}
        """What it did, or would do, in numbers; empty until its end."""

    def take(self, line: str) -> None:
        """Show what a line of the log says."""
        fields = fields_of(line)
        if fields is None:
            self._show(line)
            return
        message = str(fields.get("msg", ""))
        if fields.get("level") == "ERROR":
            self.error = message
        elif message == "would go":
            self._entries += 1
            if self._entries <= SHOWN:
                self._show(f"would go: {fields['path']}")
        elif text := _text(message, fields):
            self.summary = fields.get("summary", self.summary)
            if self._entries > SHOWN and message == "done":
                self._show(f"… and {self._entries - SHOWN} more")
            self._show(text)


def _text(message: str, fields: Mapping[str, Any]) -> str:
    """Return what one line of the log means, in one or more lines."""
    match message:
        case "done" if fields.get("tags_only"):
            return _tags(fields["summary"], dry_run=bool(fields["dry_run"]))
        case "tag would go" | "tag put aside" | "in use: kept":
            pushed = f", pushed {fields['pushed']}" if "pushed" in fields else ""
            verb = message.removeprefix("tag ")
            return f"{verb}: {fields['repository']}:{fields['tag']}{pushed}"
        case "done":
            return _summary(fields["summary"], dry_run=bool(fields["dry_run"]))
        case "putting aside" if "bytes" in fields:
            return f"putting aside: {_amount(fields)}"
        case "putting aside":
            return f"putting aside: {fields['done']} of {fields['of']}"
        case "put aside; looking again":
            return f"looking once more in {fields['in']} for what requests under way need"
        case "removing from the trash" | "would be removed from the trash":
            return f"{message}: run {fields['run']}, {size(fields['bytes'])}"
        case "in the trash":
            return f"in the trash: run {fields['run']}, {size(fields['bytes'])}"
        case "the last run":
            return _last_run(fields["last_run"])
        case "undone":
            return f"run {fields['run']} is undone: {fields['brought_back']} entries are back"
        case "brought back":
            return f"needed after all, and brought back: {fields['path']}"
    return in_words(fields) if fields.get("level") == "WARN" else message


def _summary(summary: Mapping[str, Any], *, dry_run: bool) -> str:
    aside = {name: summary[f"{name}_aside"] for name in ("manifests", "blobs", "links", "bytes")}
    kept = f"{summary['manifests_kept']} manifests and {summary['blobs_kept']} blobs"
    removed = size(summary["bytes_removed"])
    if dry_run:
        lines = [
            f"would be put aside: {_amount(aside)}; kept: {kept}",
            f"would be removed from the trash: {removed}",
            "nothing was changed",
        ]
    else:
        lines = [
            f"put aside: {_amount(aside)}; kept: {kept}",
            f"removed from the trash, and free: {removed}",
        ]
    if summary["blobs_young"]:
        lines.append(f"too young yet: {summary['blobs_young']} blobs that nothing needs")
    if summary["interrupted"]:
        lines.append("it was interrupted; the next run goes on")
    return "\n".join(lines)


def _tags(summary: Mapping[str, Any], *, dry_run: bool) -> str:
    verb = "would go" if dry_run else "put aside"
    text = f"{verb}: {summary['tags_aside']} tags; kept by the rules: {summary['tags_kept']}"
    if summary["interrupted"]:
        text += "\nit was interrupted; the next run goes on"
    return f"{text}\nnothing was changed" if dry_run else text


def _last_run(last: Mapping[str, Any]) -> str:
    end = last["error"] or ("interrupted" if last["interrupted"] else "well")
    aside, removed = size(last["bytes_aside"]), size(last["bytes_removed"])
    return f"the last run ended {last['ended']}, {end}: {aside} put aside, {removed} removed"


def _amount(of: Mapping[str, Any]) -> str:
    return (
        f"{of['manifests']} manifests, {of['blobs']} blobs ({size(of['bytes'])}),"
        f" {of['links']} links"
    )
