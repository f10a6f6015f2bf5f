"""Where Pulumi keeps what it knows: the backend in use, else a folder of the project."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path

from ops.bootstrap import ROOT
from ops.bootstrap.console import UserError, say, write_whole
from ops.bootstrap.toolchain import credentials_folder

FOLDER = ROOT / ".state"
PASSPHRASE = FOLDER / "passphrase"
_PASSPHRASE_GIVEN = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def ensure() -> dict[str, str]:
    """Return the environment that names the backend; empty where the user has chosen one."""
    if chosen := os.environ.get("PULUMI_BACKEND_URL") or logged_in_to():
        # After `make exports` it is what every command of this checkout uses.
        if chosen != _url():
            say(f"state: {chosen}")
        return {}
    say(f"state: {FOLDER} (you are logged in to no Pulumi backend)")
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    environment = {"PULUMI_BACKEND_URL": _url()}
    if not any(os.environ.get(name) is not None for name in _PASSPHRASE_GIVEN):
        environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase_file())
    return environment


def logged_in_to() -> str | None:
    """Return the backend that `pulumi login` has noted."""
    try:
        noted = json.loads((credentials_folder() / "credentials.json").read_text())
    except (OSError, ValueError):
        return None
    return noted.get("current") or None


def set_aside_without_passphrase() -> None:
    """Put the project's own state aside if its passphrase is lost: nobody can read it any more."""
    if _is_locked_out():
        aside = FOLDER.with_name(f"{FOLDER.name}-without-passphrase-{time.time_ns()}")
        say(f"the passphrase of the state is lost: putting the state aside ({aside})")
        FOLDER.rename(aside)


def _url() -> str:
    """Return the address of the project's own backend."""
    return f"file://{FOLDER}"


def has_own_passphrase() -> bool:
    """Return whether the passphrase in use is the project's own, and nobody's choice."""
    return os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE") == str(PASSPHRASE)


def forget_key(file: Path) -> None:
    """Take the key of a lost passphrase out of a stack's file; a UserError if secrets need it."""
    lines = file.read_text().splitlines(keepends=True)
    encrypted = [number for number, line in enumerate(lines, 1) if "secure:" in line]
    if encrypted:
        raise UserError(
            f"secrets in {file.name} were encrypted with another passphrase than {PASSPHRASE} has"
            f" (lines {', '.join(map(str, encrypted))}). Put that passphrase back; or, if it is"
            " lost, take these lines out of the file, go on, and set the secrets again with"
            " `pulumi config set --secret`"
        )
    say(f"{file.name}: taking out the key of a passphrase that is lost (no secret needed it)")
    kept = [line for line in lines if not line.startswith("encryptionsalt:")]
    write_whole(file, "".join(kept), mode=file.stat().st_mode & 0o777)


def _is_locked_out() -> bool:
    """Return whether the project's own state has stacks, and their passphrase isn't there."""
    return not _has_passphrase() and any(FOLDER.glob(".pulumi/stacks/**/*.json"))


def _has_passphrase() -> bool:
    # An empty one is what an interruption left, of earlier versions of this file.
    return PASSPHRASE.exists() and PASSPHRASE.stat().st_size > 0


def _passphrase_file() -> Path:
    if _is_locked_out():
        raise UserError(
            f"the passphrase of the state is lost: {PASSPHRASE} isn't there. Put it back from a"
            " copy; or, to begin a new state with what runs (the images stay):\n"
            "      make recover STACK=…"
        )
    if not _has_passphrase():
        write_whole(PASSPHRASE, secrets.token_urlsafe(32))
    return PASSPHRASE
