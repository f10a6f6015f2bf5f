"""Where Pulumi keeps what it knows: the backend in use, else a folder of the project."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from ops.console import run, say
from ops.toolchain import ROOT, credentials_folder

FOLDER = ROOT / ".state"
PASSPHRASE = FOLDER / "passphrase"
_PASSPHRASE_GIVEN = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def ensure() -> dict[str, str]:
    """Environment that names the backend; empty where the user has chosen one."""
    if chosen := os.environ.get("PULUMI_BACKEND_URL") or _logged_in_to():
        say(f"state: {chosen}")
        return {}
    say(f"state: {FOLDER} (you are logged in to no Pulumi backend)")
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    environment = {"PULUMI_BACKEND_URL": f"file://{FOLDER}"}
    if not any(os.environ.get(name) is not None for name in _PASSPHRASE_GIVEN):
        environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase_file())
    return environment


def config(stack: str, *, secrets: bool = False) -> dict[str, str]:
    """What the stack's settings say in plain text; a secret is an empty text unless `secrets`."""
    flags = ["--show-secrets"] if secrets else []
    entries = json.loads(run(["pulumi", "config", "--json", "--stack", stack, *flags]))
    return {key: entry.get("value", "") for key, entry in entries.items()}


def _logged_in_to() -> str | None:
    try:
        noted = json.loads((credentials_folder() / "credentials.json").read_text())
    except (OSError, ValueError):
        return None
    return noted.get("current") or None


def _passphrase_file() -> Path:
    if not PASSPHRASE.exists():
        descriptor = os.open(PASSPHRASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return PASSPHRASE
