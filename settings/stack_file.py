"""What a stack's own file says, and which of its values are encrypted there.

A program gets all values decrypted, and of secrets only their keys: one encrypted value makes its
whole key a secret, whatever stands beside it in plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAMESPACE = "registry"
"""Name of the project: keys without a namespace are its own."""

Step = str | int
"""A key of a map or an index of a list."""


def config_of(stack: str, folder: Path, file: Path | None = None) -> Mapping[str, Any]:
    """Return what a stack is configured with, by full key; encrypted values are `{secure: …}`.

    That is `config:` of its file, and of `Pulumi.yaml` the keys that the file doesn't have: Pulumi
    merges no maps of the two. `folder` is the project's, `file` what `--config-file` names, which
    may be relative to it. A file that isn't there has nothing.
    """
    project = _mapping(folder / "Pulumi.yaml")
    path = folder / (file or f"{project.get('stackConfigDir') or '.'}/Pulumi.{stack}.yaml")
    shared = {key: _shared_value(each) for key, each in _config(project).items()}
    return shared | dict(_config(_mapping(path)))


def _config(content: Mapping[str, Any]) -> Mapping[str, Any]:
    values = content.get("config")
    if not isinstance(values, Mapping):
        return {}
    return {full_key(str(key)): value for key, value in values.items()}


def _shared_value(entry: Any) -> Any:
    """Return what an entry of Pulumi.yaml stands for: a value, or a map that has it."""
    return entry.get("value", entry.get("default")) if isinstance(entry, Mapping) else entry


def _mapping(path: Path) -> Mapping[str, Any]:
    # Not at the top: most commands read no file, and it takes as long as all else of them.
    import yaml

    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}  # Pulumi itself says what is wrong with it.
    return content if isinstance(content, Mapping) else {}


def is_encrypted(value: Any, *path: Step) -> bool:
    """Return whether all that a file has at `path` below `value` is encrypted there.

    What the file doesn't have counts as encrypted: it has nothing in plain text.
    """
    for step in path:
        if _is_secure(value):
            return True
        if isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        elif isinstance(value, Mapping):
            # YAML takes `1:` for a number; in the program every key is a text.
            by_text = {str(key): each for key, each in value.items()}
            if str(step) not in by_text:
                return True
            value = by_text[str(step)]
        else:
            # A text with JSON in it, in plain text as a whole; or nothing.
            return value is None
    return all(map(_is_secure, _ends(value)))


def _is_secure(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"secure"}


def _ends(value: Any) -> Iterator[Any]:
    """Yield the values below `value` that are no maps or lists; encrypted ones as they are."""
    if isinstance(value, list):
        for each in value:
            yield from _ends(each)
    elif isinstance(value, Mapping) and not _is_secure(value):
        for each in value.values():
            yield from _ends(each)
    elif value is not None:
        yield value


def leaves(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Yield what is no map or list below `value`, each with its path."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from leaves(each, (*path, str(name)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, (*path, index))
    else:
        yield path, value


def as_text(value: object) -> str:
    """Return a single value as Pulumi hands it to a program, and as its CLI takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def full_key(key: str) -> str:
    """Return the key with its namespace; without one it is this project's."""
    return key if ":" in key else f"{NAMESPACE}:{key}"


def key_of(path: str) -> str:
    """Return the key that a path begins with."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def path_of(*steps: Step) -> str:
    """Return a path as Pulumi reads it: `passwords["jane.doe"]`, `users[0]`, `config.http`."""
    path = ""
    for step in steps:
        path = below(path, step)
    return path


def below(path: str, step: Step) -> str:
    """Return the path that is one step below another."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if re.fullmatch(r"[A-Za-z0-9_:-]+", step):
        return f"{path}.{step}" if path else step
    escaped = step.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{escaped}"]'
