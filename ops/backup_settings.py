"""The settings of a stack in its backups: its file without secrets, and these encrypted.

A generated password isn't among the secrets, but the seed that it is made from.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import checkpoint
from ops.bootstrap.console import UserError, confirm, say
from ops.encryption import decrypt, encrypt
from ops.passphrase import read_passphrase
from ops.stack_secrets import KEYS, encrypted, joined, plain_texts, set_secret
from ops.users import moment
from settings.login import SEEDS
from settings.stack_file import full_key

if TYPE_CHECKING:
    from ops.stack import Stack

STACK_FILE, SECRETS_FILE = "stack.yaml", "secrets.json"
"""Names of the files in a backup."""
HIDDEN = "(a secret: not in the backup)"
"""Text in place of an encrypted value."""
PURPOSE = "the backup's secrets"
SEED_KEY = "registry:passwordSeeds"
RANDOM_BYTES = "random:index/randomBytes:RandomBytes"


def without_secrets(stack: Stack) -> str:
    """Return the stack's file, in which secrets are named alone."""
    import yaml

    kept = {name: value for name, value in _content(stack).items() if name not in KEYS}
    text: str = yaml.safe_dump(_hidden(kept), sort_keys=False, allow_unicode=True)
    return text


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"secure"}:
            return {"secure": HIDDEN}
        return {name: _hidden(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_hidden(each) for each in value]
    return value


def encrypted_secrets(stack: Stack, passphrase_file: str | None) -> str:
    """Return the file of the stack's secrets, encrypted with a passphrase that is asked for."""
    passphrase = read_passphrase(passphrase_file, PURPOSE, new=True)
    secrets = plain_texts(stack.name, _values(stack)) | _seeds(stack)
    document = {
        "stack": stack.name,
        "made": moment(datetime.now(timezone.utc)),
        # No rotation is an empty text.
        "secrets": {path: text for path, text in secrets.items() if text},
    }
    return encrypt(json.dumps(document), passphrase)


def _seeds(stack: Stack) -> dict[str, str]:
    """Return the seeds of generated passwords that the state keeps, as settings."""
    seeds = {}
    for resource in checkpoint.read_with_secrets(stack.name).resources:
        login = resource["urn"].rpartition("::")[2].removesuffix("-seed")
        if resource["type"] == RANDOM_BYTES and login in SEEDS and not resource.get("delete"):
            seeds[f"{SEED_KEY}.{login}"] = checkpoint.plain(resource["outputs"]["base64"])
            seeds[f"{SEED_KEY}.rotation"] = str(resource["inputs"]["keepers"]["rotation"])
    return seeds


def restore_secrets(stack: Stack, file: str, passphrase_file: str | None) -> None:
    """Put a backup's secrets into the stack's file, where that has none of its own yet.

    Raises UserError when one of the two files isn't there, or the passphrase is another one.
    """
    document = _decrypted(file, passphrase_file)
    if not stack.file.exists():
        raise UserError(f"put {stack.file.name} back first: {STACK_FILE} of the backup")
    stack.ensure()
    if stack.last_outputs is not None:
        confirm(f"Stack {stack.name} is deployed. Shall its secrets become those of the backup?")
    there = {joined(key, path): ciphertext for key, path, ciphertext in encrypted(_values(stack))}
    secrets: Mapping[str, str] = document["secrets"]
    config = ["pulumi", "config", "--stack", stack.name]
    for path, text in secrets.items():
        if there.get(path) == HIDDEN or (path not in there and path.startswith(SEED_KEY)):
            set_secret(config, path, text)
            say(f"  {path}: set")
        else:
            say(f"  {path}: {'stays as it is' if path in there else 'not in the settings'}")
    for path in sorted({path for path in there if there[path] == HIDDEN} - set(secrets)):
        command = f"pulumi config set --stack {stack.name} --path --secret {shlex.quote(path)}"
        say(f"  {path}: not in the backup; type:\n      {command}")
    say(
        f"{stack.file.name} has the secrets of stack {document['stack']} as of {document['made']};"
        f" now: make deploy STACK={stack.name}"
    )


def _decrypted(file: str, passphrase_file: str | None) -> Mapping[str, Any]:
    """Return what a file of secrets has."""
    try:
        text = Path(file).read_text()
    except (OSError, ValueError) as error:
        raise UserError(
            f"SECRETS={file} can't be read ({error}): it is the file {SECRETS_FILE} of a backup,"
            " which docs/backup.md gets from there"
        ) from None
    passphrase = read_passphrase(passphrase_file, PURPOSE, new=False)
    try:
        content: Mapping[str, Any] = json.loads(decrypt(text, passphrase))
    except UserError as error:
        raise UserError(f"SECRETS={file}: {error}") from None
    return content


def _values(stack: Stack) -> Mapping[str, Any]:
    """Return what the stack's file configures, by full key."""
    return {full_key(str(key)): each for key, each in (_content(stack).get("config") or {}).items()}


def _content(stack: Stack) -> Mapping[str, Any]:
    import yaml

    try:
        return yaml.safe_load(stack.file.read_text()) or {}
    except FileNotFoundError:
        return {}
