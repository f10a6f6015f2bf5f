"""A passphrase: asked for at the terminal, or read from a file, never part of a command."""

from __future__ import annotations

import sys
from getpass import getpass
from pathlib import Path

from ops.bootstrap.console import UserError

MIN_LENGTH = 12
"""Characters: whoever has the file may guess for as long as they like."""


def read_passphrase(file: str | None, purpose: str, *, new: bool) -> str:
    """Return the passphrase in `file`, else ask for it; a `new` one is asked for twice.

    Raises UserError where there is none, or a new one is too short.
    """
    passphrase = _asked(purpose, new=new) if file is None else _in_file(file)
    if new and len(passphrase) < MIN_LENGTH:
        raise UserError(
            f"the passphrase has {len(passphrase)} characters: {MIN_LENGTH} at the least, better"
            " six words that have nothing to do with each other"
        )
    return passphrase


def _in_file(file: str) -> str:
    try:
        return Path(file).read_text().removesuffix("\n")
    except (OSError, ValueError) as error:
        raise UserError(f"PASSPHRASE_FILE={file} can't be read: {error}") from None


def _asked(purpose: str, *, new: bool) -> str:
    if not sys.stdin.isatty():
        raise UserError(
            f"nobody is there to ask for the passphrase of {purpose}; a file that has it:"
            " PASSPHRASE_FILE=…"
        )
    passphrase = getpass(f"Passphrase of {purpose}: ")
    if new and getpass("Once more: ") != passphrase:
        raise UserError("these are two passphrases: nothing was done")
    return passphrase
