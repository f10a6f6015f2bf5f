"""`make backup`, `make restore` and `make clone`: a registry's images elsewhere, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.backup import FOLDER, PROGRAM, BackupLocation
from components.distribution.config import CA_FOLDER
from ops.backup_settings import SECRETS_FILE, STACK_FILE, without_secrets
from ops.bootstrap.console import UserError, confirm, say
from ops.job import Job, run_job
from ops.program_log import fields_of, in_words
from ops.quantities import size
from settings.backup import location_of, s3_parameters, wrong_with
from settings.kinds import WrongValueError

if TYPE_CHECKING:
    from ops.stack import Stack

ATTACHED = "/etc/registry-backup"
"""Path, in a task, of files that a backup has beside the images."""
CA_OF_STORE = f"{CA_FOLDER}/of-backups.pem"
"""Path, in a task, of the CA of an object store that another stack names."""
NAMES_SHOWN = 10
"""Names that a line has of what is broken."""


def back_up(stack: Stack, to: str | None, secrets: str | None = None) -> None:
    """Make a backup now, with the stack's `secrets`, encrypted, if they are given.

    UserError when it fails, or something is broken.
    """
    options = stack.settings.backup
    name = stack.settings.routing.domain
    arguments = [*(options.flags if options else ("--name", name))]
    attached = {STACK_FILE: without_secrets(stack)}
    attached |= {SECRETS_FILE: secrets} if secrets else {}
    for name in attached:
        arguments += ["--attach", f"{name}={ATTACHED}/{name}"]
    files = {f"{ATTACHED}/{name}": text for name, text in attached.items()}
    _run(stack, "run", _location(stack, to, "TO"), arguments, files)


def verify(stack: Stack, to: str | None) -> None:
    """Read all of the backups. UserError when something is broken, which lines before name."""
    _run(stack, "verify", _location(stack, to, "TO"))


def show(stack: Stack, to: str | None) -> None:
    """Print how the last run ended, and which generations there are."""
    _run(stack, "list", _location(stack, to, "TO"))


def restore(stack: Stack, source: str | None, generation: str | None, *, overwrites: bool) -> None:
    """Bring a generation back; a tag that names something else stays, unless it `overwrites`.

    UserError when it fails, or something is broken.
    """
    _restore(stack, _location(stack, source, "FROM"), generation, overwrites=overwrites)


def clone(source: Stack, target: Stack) -> None:
    """Back one stack up to its `registry:backup.to`, and restore that into another one.

    UserError when it has none, or something fails.
    """
    location = _location(source, None, "registry:backup.to")
    # What stands against the restore comes before the backup, which may take hours.
    if wrong := wrong_with(location, target.settings):
        raise UserError(f"registry:backup.to of {source.name}, for stack {target.name}, {wrong}")
    _ = target.outputs
    if location.source:
        say(f"the images go by {location.source} of their node: both stacks must have theirs there")
    back_up(source, None)
    _restore(target, location, None, overwrites=False, ca=source.settings.registry.ca)


def _restore(
    stack: Stack,
    location: BackupLocation,
    generation: str | None,
    *,
    overwrites: bool,
    ca: str | None = None,
) -> None:
    if overwrites:
        confirm(f"Tags of stack {stack.name} get what they named in the backup. Go on?")
    arguments = ["--generation", generation] if generation else []
    arguments += ["--overwrite"] if overwrites else []
    _run(stack, "restore", location, arguments, ca=ca)


def _location(stack: Stack, text: str | None, variable: str) -> BackupLocation:
    """Return the location that was typed as `variable`, else that of the settings."""
    settings = stack.settings
    if text is None:
        if settings.backup:
            return settings.backup.location
        raise UserError(
            f"where? {variable}=s3://bucket/prefix, volume:name or a folder of the images' node; or"
            " once and for all:\n"
            f"      pulumi config set --stack {stack.name} --path registry:backup.to"
            " s3://backups/registry"
        )
    s3 = settings.backup.s3 if settings.backup else s3_parameters(settings.registry.config, {})
    try:
        location = location_of(text, s3)
    except WrongValueError as error:
        raise UserError(f"{variable}={text}: it must be {error}") from error
    if wrong := wrong_with(location, settings):
        raise UserError(f"{variable}={text}, for stack {stack.name}, {wrong}")
    if location.storage and not s3.get("region"):
        raise UserError(
            f"{variable}={text}: which region? And which keys?\n"
            f"      pulumi config set --stack {stack.name} --path registry:backup.to {text}\n"
            f"      pulumi config set --stack {stack.name} --path registry:backup.s3.region"
            " eu-central-1"
        )
    return location


def _run(
    stack: Stack,
    command: str,
    location: BackupLocation,
    arguments: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    ca: str | None = None,
) -> None:
    """Run the program; `ca` is that of the store, where it isn't the stack's own."""
    ca_bundle = {CA_OF_STORE: ca} if ca and location.storage else {}
    options = stack.settings.backup
    mount = {"Type": location.mount_type, "Source": location.source, "Target": FOLDER}
    job = Job(
        name="backup",
        title="the backup" if command != "restore" else "the restore",
        command=[PROGRAM, command, location.path, *arguments],
        files=files or {},
        secrets={**location.files, **ca_bundle},
        mounts=[mount] if location.source else [],
        memory_mib=options.memory_mib if options else 256,
    )
    report = Report(print)
    code = run_job(stack, job, report.take)
    if code != 0:
        raise UserError(report.error or f"{job.title} ended with exit code {code}")


class Report:
    """The log of `registry-backup`, as lines for a person."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self.error = ""
        """The last error that it had."""

    def take(self, line: str) -> None:
        """Show what a line of the log says."""
        fields = fields_of(line)
        if fields is None:
            self._show(line)
            return
        if fields.get("level") == "ERROR":
            self.error = _error(fields)
            if len(fields) > 3:  # It goes on after these.
                self._show(self.error)
        else:
            self._show(_text(str(fields.get("msg", "")), fields))


def _error(fields: Mapping[str, Any]) -> str:
    message = str(fields.get("msg", ""))
    names = fields.get("breaks") or fields.get("names") or []
    more = len(names) - NAMES_SHOWN
    listed = ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    if "digest" in fields:
        where = f" ({fields['file']})" if "file" in fields else ""
        message += f": {fields['digest']}{where}: {fields['reason']}"
    return f"{message}; breaks {listed}" if listed else message


def _text(message: str, fields: Mapping[str, Any]) -> str:
    """Return what one line of the log means."""
    match message:
        case "done" if "run" in fields:
            return _run_text(fields["run"])
        case "done" if "tags_restored" in fields:
            return (
                f"restored from {fields['generation']}: {fields['tags_restored']} tags,"
                f" {fields['blobs_copied']} blobs ({size(fields['bytes_copied'])});"
                f" {fields['tags_kept']} tags stay as they are"
            )
        case "done":
            read = f"{fields['blobs']} blobs ({size(fields['bytes'])})"
            return f"read {read} of {fields['generations']} generations: {fields['broken']} broken"
        case "the last run":
            run = fields["last_run"]
            end = run.get("error") or ("interrupted" if run.get("interrupted") else "well")
            return f"the last run ended {run['ended']}, {end}"
        case "generation":
            secrets = ", with secrets" if SECRETS_FILE in fields.get("files", ()) else ""
            return (
                f"{fields['name']} (until {fields['until']}): {fields['tags']} tags of"
                f" {fields['repositories']} repositories, {size(fields['bytes'])}{secrets}"
            )
        case "kept":
            names = f"{fields['repository']}:{fields['tag']}"
            return f"{names} stays at {fields['digest']}; in the backup it is {fields['backup']}"
        case "copying" | "reading":
            done = f"{fields['blobs']} of {fields['of']} blobs, {size(fields['bytes'])}"
            return f"{message}: {done}"
        case "removed" if "generation" in fields:
            return f"removed, by keep: generation {fields['generation']}"
    return in_words(fields)


def _run_text(run: Mapping[str, Any]) -> str:
    copied = f"{run['blobs_copied']} blobs copied ({size(run['bytes_copied'])})"
    total = f"{run['tags']} tags, {size(run['bytes'])} in all"
    if not run["new"]:
        return f"nothing is new since generation {run['generation']}: {total}"
    return f"generation {run['generation']}: {copied}; {total}"
