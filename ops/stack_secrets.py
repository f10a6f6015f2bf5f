"""The encrypted values of a stack's file: where they are, what they say, and new ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ops.bootstrap.console import run
from ops.config import Config

KEYS = ("encryptionsalt", "encryptedkey", "secretsprovider")
"""Entries of a stack's file in which Pulumi keeps the key of its secrets."""
Path = tuple[str | int, ...]


def encrypted(values: Mapping[str, Any]) -> Iterator[tuple[str, Path, str]]:
    """Yield key, path below it and ciphertext of what is encrypted among a file's `values`."""
    for key, value in values.items():
        for path, ciphertext in _encrypted_below(value):
            yield key, path, ciphertext


def _encrypted_below(value: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict) and set(value) == {"secure"}:
        yield (), str(value["secure"])
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            for path, ciphertext in _encrypted_below(item):
                yield (key, *path), ciphertext


def plain_texts(stack: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Return what is encrypted among the `values` of a stack's file, by `joined` path."""
    paths = [(key, path) for key, path, _ in encrypted(values)]
    if not paths:
        return {}
    plain = Config.read(stack, show_secrets=True).values
    return {joined(key, path): _at(plain[key], path) for key, path in paths}


def _at(text: str, path: Path) -> str:
    """Return the text at `path` of a value as Pulumi prints it."""
    value: Any = json.loads(text) if path else text
    for part in path:
        value = value[part]
    return str(value)


def joined(key: str, path: Path) -> str:
    """Return key and path in the form that `pulumi config --path` takes."""
    for part in path:
        if isinstance(part, str) and re.fullmatch(r"[A-Za-z_][\w-]*", part):
            key += f".{part}"
        else:
            key += f"[{json.dumps(part)}]"
    return key


def is_path(key: str) -> bool:
    """Return whether a key comes with a path."""
    return re.search(r"[.\[]", key) is not None


def set_secret(config: Sequence[str], path: str, text: str) -> None:
    """Encrypt a text into the file of the command `pulumi config …`; it is part of no command."""
    flags = ["--secret", *(["--path"] if is_path(path) else [])]
    # Pulumi takes one end of a line off.
    run([*config, "set", *flags, path], stdin=f"{text}\n")
