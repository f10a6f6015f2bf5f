"""The original's configuration: its file, overridden by its variables as in the registry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from components.distribution.config import (
    DATA_PATH,
    OWNED,
    ConfigOptions,
    Secrets,
    Wiring,
    document,
    value_at,
)
from components.distribution.storage import keeps_files
from ops.adopt.original import Mount, Original, Read, UnreadableError
from settings.registry_schema import SCHEMA_FILE
from settings.secrecy import ends
from settings.stack_file import Step

VARIABLE = "REGISTRY_"
"""Prefix of the variables that set the registry's configuration."""
_NOT_CONFIGURATION = ("REGISTRY_CONFIGURATION_PATH",)
_OFFICIAL = {"log": {"fields": {"service": "registry"}}}
"""Settings of the official image's file that aren't defaults of this program as well."""
_REDIS = (
    "what it keeps is a cache, and stays behind. For a Redis of this stack's own, later on:"
    " pulumi config set registry:cache redis"
)
_NO_SETTING = {
    "proxy.remoteurl": "makes it a mirror of another registry: see registry:mirrors",
    "http.prefix": "puts all below a path, and clients would have to use other names",
    "http.tls.clientcas": "asks clients for certificates, and there is no setting for that",
}
"""Paths that can't be taken over, with reasons: they change who gets in, or names of images."""
_IDENTITY = re.compile(r"(AWS|AZURE|GOOGLE)_\w+")
"""Variables with the identity of a storage driver."""


@dataclass(frozen=True)
class Configuration:
    """The original's configuration."""

    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Part that `registry:config` takes over."""
    files: Sequence[str] = ()
    """Configuration files that were read."""
    root: str = DATA_PATH
    """Folder of the images, where they are files."""
    htpasswd: str | None = None
    """File with the logins that the registry asks for; None: it asks for none."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Reasons, by name of what isn't taken over."""
    obstacles: Sequence[str] = ()
    """Sentences about what would be lost."""
    keeps_files: bool = True
    """The images are files."""


def read_configuration(original: Original, read_file: Read) -> Configuration:
    """Return the configuration of `original`, with an obstacle for each part that it can't read."""
    obstacles: list[str] = []
    tree: dict[str, Any] = {}
    files = []
    for path in dict.fromkeys(original.config_paths):
        try:
            text = read_file(path)
        except UnreadableError as error:
            obstacles.append(f"its configuration file {path} {error}")
            break
        if text is not None:
            try:
                tree = _tree(text)
            except (yaml.YAMLError, ValueError) as error:
                # A YAML error quotes the line, which may hold a secret.
                obstacles.append(
                    f"its configuration file {path} is no YAML ({type(error).__name__})"
                )
            if original.mount_of(path):
                files.append(path)
            break
    for name in sorted(original.variables):
        if name.startswith(VARIABLE) and name not in _NOT_CONFIGURATION:
            _set(tree, name.removeprefix(VARIABLE).split("_"), _yaml(original.variables[name]))
            _spell_out(tree)
    return _divided(original, tree, files, obstacles)


def _divided(
    original: Original, tree: dict[str, Any], files: Sequence[str], obstacles: list[str]
) -> Configuration:
    """Return the part of `tree` that is taken over, with its values typed, and the rest by name."""
    left_out: dict[str, str] = {}
    _translate_redis(tree, left_out)
    schema = json.loads(SCHEMA_FILE.read_text())
    unknown_paths: list[str] = []
    config = _with_types(tree, schema, (), unknown_paths)
    root = str(value_at(config, "storage.filesystem.rootdirectory") or DATA_PATH).rstrip("/")
    auth = config.get("auth") or {}
    htpasswd = value_at(auth, "htpasswd.path")
    obstacles += [
        f"the registry asks for logins of kind {kind}, and there is no setting for that"
        for kind in sorted(auth)
        if kind not in ("htpasswd", "none")
    ]
    obstacles += [
        f"{path} {reason}" for path, reason in _NO_SETTING.items() if value_at(config, path)
    ]
    for path in unknown_paths:
        driver = re.match(
            r"storage\.(?!(cache|delete|maintenance|redirect|tag|filesystem)\b)\w+", path
        )
        if driver:
            obstacles.append(
                f"{path} isn't known by a registry 3, so its images might not be found"
            )
        else:
            left_out[path] = "no registry 3 knows it"
    for path in OWNED:
        if value_at(config, path) is not None:
            _remove(config, path)
            if path not in ("version", "auth", "http.addr", "storage.filesystem.rootdirectory"):
                left_out[path] = "this program decides it"
    in_files = keeps_files(config)
    config = _without(config, document(ConfigOptions(), Secrets(http=""), Wiring()))
    config = _without(config, _OFFICIAL)
    if not in_files:
        obstacles += [
            f"variable {name} says who the registry is in its object store. Set the keys in"
            " registry:config.storage instead, by hand"
            for name in sorted(original.variables)
            if _IDENTITY.fullmatch(name)
        ]
    obstacles += [
        f"{'.'.join(map(str, path))} names {value}, a file that is mounted there, and would be gone"
        for path, value in ends(config)
        if value.startswith("/") and _other_mount(original, value, root)
    ]
    return Configuration(
        config=config,
        files=files,
        root=root,
        keeps_files=in_files,
        htpasswd=str(htpasswd) if htpasswd else None,
        left_out=left_out,
        obstacles=obstacles,
    )


def _other_mount(original: Original, path: str, root: str) -> Mount | None:
    mount = original.mount_of(path)
    return None if mount is None or mount.target.rstrip("/") == root else mount


def _tree(text: str) -> dict[str, Any]:
    tree = _yaml(text)
    if not isinstance(tree, dict):
        raise ValueError("no map")
    _spell_out(tree)
    return tree


def _yaml(text: str) -> Any:
    """Return YAML with its scalars as texts: the schema decides their types."""
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes only texts, lists and maps


def _spell_out(tree: dict[str, Any]) -> None:
    """Replace a name alone, such as `storage: filesystem`, by the map that it stands for."""
    for section in ("storage", "auth"):
        if isinstance(tree.get(section), str):
            tree[section] = {tree[section]: {}} if tree[section] else {}


def _set(tree: Any, path: Sequence[str], value: Any) -> None:
    """Set the value at the path that a variable names; a number is an index of a list."""
    step, rest = path[0], path[1:]
    key: Step
    if isinstance(tree, list):
        if not step.isdigit() or int(step) > len(tree):
            return
        key = int(step)
        if key == len(tree):
            tree.append("")
        below: Any = tree[key]
    elif isinstance(tree, dict):
        key = next((name for name in tree if name.lower() == step.lower()), step.lower())
        below = tree.get(key, "")
    else:
        return
    if rest:
        if not isinstance(below, dict | list):
            below = [] if rest[0].isdigit() else {}
        _set(below, rest, value)
        value = below
    tree[key] = value


def _translate_redis(tree: dict[str, Any], left_out: dict[str, str]) -> None:
    """Remove Redis, whose networks are left, and which only caches what is in the storage."""
    storage = tree.get("storage")
    cache = storage.get("cache") if isinstance(storage, dict) else None
    if isinstance(cache, dict):
        # The key's name before 2.1, which 2.8 still accepts.
        cache.setdefault("blobdescriptor", cache.pop("layerinfo", "inmemory"))
        if cache["blobdescriptor"] == "redis":
            cache["blobdescriptor"] = "inmemory"
            left_out["storage.cache.blobdescriptor: redis"] = _REDIS
    if tree.pop("redis", None):
        left_out["redis"] = "its address and its login went with the cache"


def _with_types(value: Any, schema: Any, path: tuple[str, ...], unknown_paths: list[str]) -> Any:
    """Return `value` with the types of the schema; add names that it lacks to `unknown_paths`."""
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            return value or {}
        known, others = schema.get("properties", {}), schema.get("additionalProperties", False)
        converted = {}
        for name, each in value.items():
            below = known.get(name, others)
            if below is False:
                unknown_paths.append(".".join((*path, name)))
            else:
                converted[name] = _with_types(each, below, (*path, name), unknown_paths)
        return converted
    if kind == "array":
        items = value if isinstance(value, list) else [value] if value else []
        return [_with_types(each, schema["items"], (*path, "[]"), unknown_paths) for each in items]
    return _scalar(value, kind)


def _scalar(value: Any, kind: str | None) -> Any:
    """Return a text as YAML reads it, unless the schema has a text there."""
    if isinstance(value, dict):
        return {name: _scalar(each, kind) for name, each in value.items()}
    if isinstance(value, list):
        return [_scalar(each, kind) for each in value]
    if kind == "string":
        return value
    plain = yaml.safe_load(value)
    fits = isinstance(plain, bool) if kind == "boolean" else isinstance(plain, bool | int | float)
    return plain if fits else value


def _remove(config: dict[str, Any], path: str) -> None:
    first, _, rest = path.partition(".")
    if not rest:
        config.pop(first, None)
    elif isinstance(config.get(first), dict):
        _remove(config[first], rest)


def _without(config: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `config` that differ from those of `base`, without empty ones."""
    rest = {}
    for name, value in config.items():
        below = base.get(name)
        if isinstance(value, Mapping):
            value = _without(value, below if isinstance(below, Mapping) else {})
        if value != below and value not in ("", {}, []):
            rest[name] = value
    return rest
