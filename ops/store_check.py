"""Whether the registry can use its object store, before anything is deployed.

The registry itself finds out, with the configuration that it will have, on the engine that it
will run on: so keys, a machine's own identity, names and certificates are seen from there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from components.distribution.config import (
    AUTHORITIES,
    CONFIG_PATH,
    PORT,
    REGISTRY_IMAGE,
    ConfigOptions,
    Secrets,
    Wiring,
    document,
    drivers_in,
    keeps_files,
)
from components.run.commands import for_stack
from ops.bootstrap import ROOT
from ops.bootstrap.console import LIMIT_SECONDS, Problem, run, say, wait
from ops.config import Config

START_SECONDS = 20
ANSWER_SECONDS = 180
"""More than the registry tries, until it gives up a store that nobody answers for."""
LIFETIME_SECONDS = START_SECONDS + 2 * ANSWER_SECONDS
"""After which the trial registry ends, whatever became of who started it."""
MAX_LOG_BYTES = 1_000_000
"""Of what the trial registry prints."""
LABEL = "registry.doctor"
"""On the trial registry's container."""
TRY = f"http://127.0.0.1:{PORT}/v2/registry-doctor/blobs/uploads/"
"""Begins an upload, which writes to the store; unfinished ones are purged after a week."""


@dataclass(frozen=True)
class Store:
    """What the settings say of it."""

    stack: str
    """Whose settings they are."""
    driver: str
    config: Mapping[str, Any] = field(repr=False)
    image: str
    authority: str | None

    @property
    def told(self) -> Mapping[str, Any]:
        """The driver's parameters."""
        found: Mapping[str, Any] = self.config["storage"][self.driver] or {}
        return found

    @property
    def name(self) -> str:
        """Of the bucket, or what this kind of store calls one."""
        return str(self.told.get("bucket") or self.told.get("container"))

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self.told.get("regionendpoint") or self.told.get("accountname") or self.driver)


def store_of(whole: Config) -> Store | None:
    """The object store of a stack; None where its images are files."""
    settings = whole.values
    config = json.loads(settings.get("registry:config") or "{}")
    if keeps_files(config):
        return None
    authority = settings.get("registry:storageCa")
    if authority and "-----BEGIN" not in authority:
        authority = (ROOT / authority).read_text()
    image = settings.get("registry:image") or REGISTRY_IMAGE
    return Store(whole.stack, drivers_in(config)[0], config, image, authority)


def check(store: Store) -> None:
    """Prints what the registry makes of it; a Problem when it can't be used."""
    if wrong := _tried(store):
        raise Problem(wrong)
    print(f"  ok    {store.driver}: {store.name} at {store.place} can be written to")


def _tried(store: Store) -> str | None:
    """What is wrong, and what to do about it; None when nothing is."""
    variables = ["OTEL_TRACES_EXPORTER=none"]
    if store.authority:
        variables.append(f"SSL_CERT_DIR={AUTHORITIES}")
    flags = [word for variable in variables for word in ("--env", variable)]
    # One whose doctor was killed ends by itself, and is gone with that; one that wasn't started yet
    # goes with the next one's beginning.
    label = ("--label", LABEL, "--entrypoint", "timeout")
    command = (str(LIFETIME_SECONDS), "/entrypoint.sh", CONFIG_PATH)
    prune = ("--filter", f"label={LABEL}", "--filter", f"until={LIFETIME_SECONDS}s")
    run(["docker", "container", "prune", "--force", *prune], timeout=60)
    try:
        create = ["docker", "create", "--rm", *label, *flags, store.image, *command]
        container = run(create, timeout=300).strip()
    except Problem as problem:
        raise Problem(f"the store can't be tried, for want of the image: {problem}") from None
    try:
        _put(container, _files(store))
        with tempfile.TemporaryFile() as output:
            # Attached: of a container that is gone, Docker has no log.
            attached = ["docker", "start", "--attach", container]
            process = subprocess.Popen(
                attached, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
            try:
                return _answer(store, container, Trial(process, output))
            finally:
                _remove(container)
                process.wait(LIMIT_SECONDS)
    except BaseException:
        _remove(container)
        raise


@dataclass(frozen=True)
class Trial:
    """A registry that tries the store."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def log(self) -> str:
        """Return what it has printed so far."""
        # Its place in the file is where the registry writes on.
        return os.pread(self.output.fileno(), MAX_LOG_BYTES, 0).decode(errors="replace")

    def runs(self) -> bool:
        """Return whether it hasn't ended yet."""
        return self.process.poll() is None

    def is_ready(self) -> bool:
        """Return whether it listens, or has ended."""
        return "listening on" in self.log() or not self.runs()


def _answer(store: Store, container: str, trial: Trial) -> str | None:
    """Return what is wrong with the store, as the registry in `container` finds it."""
    wait("the registry", trial.is_ready, START_SECONDS)
    if not trial.runs():
        return _explained(store, trial.log(), "the registry doesn't start with this")
    post = ["wget", "-q", "-O", "/dev/null", "--post-data", "", TRY]
    try:
        run(["docker", "exec", container, *post], timeout=ANSWER_SECONDS)
    except Problem:
        return _explained(store, trial.log(), "the registry can't use it")
    return None


def _remove(container: str) -> None:
    # It may be gone already, by itself.
    with contextlib.suppress(Problem):
        run(["docker", "rm", "--force", "--volumes", container], timeout=60)


def _files(store: Store) -> Mapping[str, str]:
    options, wiring = ConfigOptions(config=store.config), Wiring(login=False)
    config = document(options, Secrets(http=secrets.token_hex(16)), wiring)
    # It asks for no login, and the keys of the store are in use: so nobody else may reach it.
    config["http"]["addr"] = f"127.0.0.1:{PORT}"
    files = {CONFIG_PATH: json.dumps(config)}
    if store.authority:
        files[f"{AUTHORITIES}/further.pem"] = store.authority
    return files


def _put(container: str, files: Mapping[str, str]) -> None:
    """Through a pipe: a command line, or the environment, would show them."""
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
        raise Problem(f"`docker cp`: {done.stderr.decode().strip()}")


REASONS = (
    (
        r"NoSuchBucket|bucket doesn't exist|bucket does not exist|ContainerNotFound",
        "{name} doesn't exist at {place}: create it, or name another:\n"
        "      pulumi config set --path registry:config.storage.{driver}.{parameter} NAME",
    ),
    (
        r"InvalidAccessKeyId|UserNotFound|SignatureDoesNotMatch|AccessDenied|Forbidden|AuthenticationFailed"
        r"|AuthorizationFailure|invalid_grant|status code: 403",
        "{place} refuses these credentials, or they may not write to {name}:\n"
        "      pulumi config set --path --secret registry:config.storage.{driver}.{secret}",
    ),
    (
        r"x509: (certificate|cannot validate)|certificate (signed|is|has)",
        "the certificate of {place} isn't trusted; for an authority of your own:\n"
        "      pulumi config set registry:storageCa FILE.pem",
    ),
    (
        r"no such host|connection refused|i/o timeout|network is unreachable|no route to host"
        r"|server misbehaving|deadline exceeded",
        "nobody answers for {place} on the engine's machine: its name, network, or"
        " registry:config.storage.{driver}",
    ),
)
"""What the registry's log says, in the words of stores and of Go, and what is to be done."""
HIDDEN = ("secretkey", "sessiontoken", "credentials", "accountkey", "connectionstring")
"""Parameters that mustn't be shown."""
MIN_HIDDEN = 8
"""Shorter texts are no secrets: kinds of accounts, numbers."""
_PARAMETERS = {"azure": "container"}
_SECRETS = {"s3": "secretkey", "gcs": "credentials", "azure": "accountkey"}


def _explained(store: Store, log: str, otherwise: str) -> str:
    lines = log.splitlines()
    # A panic's words come first, the way to it after them.
    errors = [line for line in lines if re.search(r"level=(error|fatal|panic)|^panic", line)]
    words = _redacted(store, (errors or lines or [""])[-1])
    quoted = r'="((?:[^"\\]|\\.)*)"'
    found = re.search(r"err\.detail" + quoted, words) or re.search("msg" + quoted, words)
    said = found[1] if found else words
    for pattern, text in REASONS:
        if re.search(pattern, said):
            otherwise = text.format(
                name=store.name,
                place=store.place,
                driver=store.driver,
                parameter=_PARAMETERS.get(store.driver, "bucket"),
                secret=_SECRETS.get(store.driver, "secretkey"),
            )
            break
    say(f"  wrong {store.driver}: {for_stack(otherwise, store.stack)}")
    return f"the registry says: {said[-500:]}"


def _redacted(store: Store, line: str) -> str:
    hidden = [store.told[name] for name in HIDDEN if name in store.told]
    for text in sorted(_texts(hidden), key=len, reverse=True):
        if len(text) >= MIN_HIDDEN:
            line = line.replace(text, "[secret]")
    return line


def _texts(told: Any) -> Iterator[str]:
    if isinstance(told, Mapping):
        for value in told.values():
            yield from _texts(value)
    elif isinstance(told, list):
        for value in told:
            yield from _texts(value)
    elif isinstance(told, str):
        yield told
        yield from (line for line in told.splitlines() if line != told)
