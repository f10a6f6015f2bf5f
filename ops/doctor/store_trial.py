"""A trial of a stack's object store, before anything is deployed.

The registry itself writes to it, with the configuration that it will have, on the engine that it
will run on: keys, the machine's own identity, names and certificates count as they are there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from components.distribution.config import (
    CA_FILE,
    CA_FOLDER,
    CONFIG_PATH,
    PORT,
    ConfigOptions,
    Secrets,
    Wiring,
    document,
)
from ops.bootstrap.console import LIMIT_SECONDS, UserError, run, wait
from ops.doctor.store import Store
from ops.doctor.store_errors import errors_in, explanation

START_SECONDS = 20
ANSWER_SECONDS = 180
"""Longer than the registry tries to reach a store that doesn't answer."""
LOG_SECONDS = 10
"""Time limit for the log to have the error of a failed answer."""
LIFETIME_SECONDS = START_SECONDS + 2 * ANSWER_SECONDS
"""Time after which the trial registry ends by itself, also when `make doctor` was killed."""
MAX_LOG_BYTES = 1_000_000
"""Part of the trial registry's output that is read."""
LABEL = "registry.doctor"
"""Label of the trial registry's container."""
UPLOAD_URL = f"http://127.0.0.1:{PORT}/v2/registry-doctor/blobs/uploads/"
"""Address that begins an upload, which writes to the store; the registry purges it after a week."""


def check_store(store: Store) -> None:
    """Print that the registry can write to the store; a UserError with the reason when it can't."""
    if error := _error(store):
        raise UserError(error)
    print(f"  ok    {store.driver}: {store.bucket} at {store.address} can be written to")


def _error(store: Store) -> str | None:
    """Return what a trial registry reports; None when it can use the store."""
    variables = ["OTEL_TRACES_EXPORTER=none"]
    if store.ca:
        variables.append(f"SSL_CERT_DIR={CA_FOLDER}")
    flags = [arg for variable in variables for arg in ("--env", variable)]
    # When `make doctor` is killed, a container that was started ends and is removed by itself; one
    # that was only created is removed by the next `make doctor`.
    label = ("--label", LABEL, "--entrypoint", "timeout")
    command = (str(LIFETIME_SECONDS), "/entrypoint.sh", CONFIG_PATH)
    prune = ("--filter", f"label={LABEL}", "--filter", f"until={LIFETIME_SECONDS}s")
    run(["docker", "container", "prune", "--force", *prune], timeout=60)
    try:
        create = ["docker", "create", "--rm", *label, *flags, store.image, *command]
        container = run(create, timeout=300).strip()
    except UserError as problem:
        raise UserError(
            f"the store can't be tried without the registry's image: {problem}"
        ) from None
    try:
        _put(container, _files(store))
        with tempfile.TemporaryFile() as output:
            # Attached, since Docker keeps no log of a container that is gone.
            attached = ["docker", "start", "--attach", container]
            process = subprocess.Popen(
                attached, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
            try:
                return _result(store, container, Trial(process, output))
            finally:
                _remove(container)
                process.wait(LIMIT_SECONDS)
    except BaseException:
        _remove(container)
        raise


@dataclass(frozen=True)
class Trial:
    """A registry that runs for the trial alone."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def log(self) -> str:
        """Return the output so far."""
        # With `read` the registry would go on writing at the position that was read up to.
        return os.pread(self.output.fileno(), MAX_LOG_BYTES, 0).decode(errors="replace")

    def runs(self) -> bool:
        """Return whether the registry hasn't ended yet."""
        return self.process.poll() is None

    def is_ready(self) -> bool:
        """Return whether the registry listens, or has ended."""
        return "listening on" in self.log() or not self.runs()


def _result(store: Store, container: str, trial: Trial) -> str | None:
    """Return the error of the registry in `container`; None when it can use the store."""
    wait("the registry", trial.is_ready, START_SECONDS)
    if not trial.runs():
        return explanation(store, trial.log(), "the registry doesn't start with this")
    post = ["wget", "-q", "-O", "/dev/null", "--post-data", "", UPLOAD_URL]
    try:
        run(["docker", "exec", container, *post], timeout=ANSWER_SECONDS)
    except UserError:
        # The log takes another way than the answer, and may arrive after it.
        with contextlib.suppress(UserError):
            wait("the registry's log", lambda: errors_in(trial.log()), LOG_SECONDS)
        return explanation(store, trial.log(), "the registry can't use it")
    return None


def _remove(container: str) -> None:
    # It may be gone already, by itself.
    with contextlib.suppress(UserError):
        run(["docker", "rm", "--force", "--volumes", container], timeout=60)


def _files(store: Store) -> Mapping[str, str]:
    options, wiring = ConfigOptions(config=store.config), Wiring(login=False)
    config = document(options, Secrets(http=secrets.token_hex(16)), wiring)
    # It asks for no login and uses the store's keys, so nobody else may reach it.
    config["http"]["addr"] = f"127.0.0.1:{PORT}"
    files = {CONFIG_PATH: json.dumps(config)}
    if store.ca:
        files[CA_FILE] = store.ca
    return files


def _put(container: str, files: Mapping[str, str]) -> None:
    """Copy the files through a pipe: a command line or the environment would show them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(text.encode()), 0o400
            archive.addfile(entry, io.BytesIO(text.encode()))
    copy = ["docker", "cp", "-", f"{container}:/"]
    done = subprocess.run(
        copy, input=packed.getvalue(), capture_output=True, check=False, timeout=LIMIT_SECONDS
    )
    if done.returncode != 0:
        raise UserError(f"`docker cp`: {done.stderr.decode().strip()}")
