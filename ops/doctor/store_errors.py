"""Explanations of the errors that the registry logs about its object store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.distribution.storage import SECRET_PARAMETERS, driver_named
from ops.bootstrap.console import say
from ops.doctor.store import Store

KNOWN_ERRORS = (
    (
        r"NoSuchBucket|bucket doesn't exist|bucket does not exist|ContainerNotFound",
        "{bucket} doesn't exist at {address}: create it, or name another:\n"
        "      pulumi config set --path registry:config.storage.{driver}.{bucket_parameter} NAME",
    ),
    (
        r"InvalidAccessKeyId|UserNotFound|SignatureDoesNotMatch|AccessDenied|Forbidden|AuthenticationFailed"
        r"|AuthorizationFailure|invalid_grant|status code: 403",
        "{address} refuses these credentials, or they may not write to {bucket}:\n"
        "      pulumi config set --path --secret registry:config.storage.{driver}.{secret}",
    ),
    (
        r"x509: (certificate|cannot validate)|certificate (signed|is|has)",
        "the certificate of {address} isn't trusted; for a CA of your own:\n"
        "      pulumi config set registry:storageCa FILE.pem",
    ),
    (
        r"no such host|connection refused|i/o timeout|network is unreachable|no route to host"
        r"|server misbehaving|deadline exceeded",
        "nobody answers for {address} on the engine's machine: its name, network, or"
        " registry:config.storage.{driver}",
    ),
)
"""Errors in the words of stores and of Go, and the remedy for each."""
MIN_SECRET_CHARACTERS = 8
"""Shortest text that is taken for a secret: kinds of accounts and numbers are shorter."""


def explanation(store: Store, log: str, default: str) -> str:
    """Print the remedy for the error in `log`, or `default`; return the error as the log has it."""
    # Imports Pulumi's SDK, which takes a while.
    from settings.remedies import for_stack

    line = _redacted(store, (errors_in(log) or log.splitlines() or [""])[-1])
    quoted = r'="((?:[^"\\]|\\.)*)"'
    match = re.search(r"err\.detail" + quoted, line) or re.search("msg" + quoted, line)
    error = match[1] if match else line
    say(f"  wrong {store.driver}: {for_stack(remedy(store, error) or default, store.stack)}")
    return f"the registry says: {error[-500:]}"


def errors_in(log: str) -> list[str]:
    """Return the lines of `log` with an error; of a panic only its message, not its stack."""
    errors = re.compile(r"level=(error|fatal|panic)|^panic")
    return [line for line in log.splitlines() if errors.search(line)]


def remedy(store: Store, error: str) -> str | None:
    """Return what to do about an error of a store; None where nobody knows."""
    driver = driver_named(store.driver)
    for pattern, remedy in KNOWN_ERRORS:
        if re.search(pattern, error):
            return remedy.format(
                bucket=store.bucket,
                address=store.address,
                driver=store.driver,
                bucket_parameter=driver.bucket,
                secret=next(iter(driver.secrets), "secretkey"),
            )
    return None


def _redacted(store: Store, line: str) -> str:
    secrets = [value for name, value in store.parameters.items() if name in SECRET_PARAMETERS]
    for text in sorted(_texts(secrets), key=len, reverse=True):
        if len(text) >= MIN_SECRET_CHARACTERS:
            line = line.replace(text, "[secret]")
    return line


def _texts(value: Any) -> Iterator[str]:
    """Yield each text below `value`, and each line of one with several."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value
        yield from (line for line in value.splitlines() if line != value)
