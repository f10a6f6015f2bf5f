"""A new environment, made from one that is there: `make env NAME=preprod FROM=stag DOMAIN=…`.

The settings themselves say what must not be copied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ops import stack, stack_secrets
from ops.bootstrap.console import UserError, run, say
from ops.stack import Stack
from ops.stack_secrets import encrypted, is_path, joined, plain_texts, set_secret
from settings.copies import Edit, copy_for
from settings.stack_file import as_text


def make(name: str, source: str, domain: str) -> None:
    """Make the stack `name` with the settings of `source`, secrets encrypted anew by Pulumi.

    The file of `source` is only read. Comments come along.
    """
    stacks = stack.names()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UserError(f"NAME={name}: letters, digits, '-', '_' and '.', such as preprod")
    file = Stack(name).file
    if name in stacks or file.exists():
        raise UserError(f"there is an environment {name} already")
    if not Stack(source).file.exists():
        raise UserError(f"FROM={source}: there is no {Stack(source).file.name}")
    text = Stack(source).file.read_text()
    content = yaml.safe_load(text) or {}
    values: Mapping[str, Any] = content.get("config") or {}
    copy = copy_for({key: _raw(value) for key, value in values.items()}, source, name, domain)
    left_out = {edit.key for edit in copy.edits if edit.value is None}
    secrets = _secrets(values, source, source in stacks, left_out)
    # Until all is changed that two stacks mustn't have the same, no deployment finds it.
    draft = file.with_name(f".{file.name}")
    config = ["pulumi", "config", "--config-file", str(draft), "--stack", name]
    try:
        provider = content.get("secretsprovider")
        options = ["--secrets-provider", provider] if provider else []
        run(["pulumi", "stack", "init", "--no-select", name, *options])
        key = _split_key(file.read_text())[1] if file.exists() else ""
        draft.write_text(f"{_split_key(text)[0].rstrip()}\n{key}")
        for edit in copy.edits:
            _apply(config, edit)
        for path, secret in secrets.items():
            set_secret(config, path, secret)
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        if name in stack.names():
            run(["pulumi", "stack", "rm", "--yes", name])
        raise
    _report(name, source, copy.edits, [*copy.hints, *_problems(name)])


def _raw(value: object) -> str:
    """Return a value of a stack's file as Pulumi hands it to a program; a secret as some text."""
    if isinstance(value, dict | list):
        return json.dumps(_hidden(value))
    return as_text(value)


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            return "[secret]"
        return {key: _hidden(item) for key, item in value.items()}
    return [_hidden(item) for item in value] if isinstance(value, list) else value


def _secrets(
    values: Mapping[str, Any], source: str, is_in_backend: bool, left_out: set[str]
) -> dict[str, str]:
    """Return the plain texts of the secrets that are copied, by key and path."""
    copied = [
        (key, joined(key, path))
        for key, path, _ in encrypted(values)
        if key not in left_out and joined(key, path[:1]) not in left_out
    ]
    if not copied:
        return {}
    if not is_in_backend:
        raise UserError(
            f"FROM={source}: {Stack(source).file.name} has secrets, and the backend in use"
            f" doesn't know their stack: log in to the one that it is deployed from (pulumi login)"
        )
    plain = plain_texts(source, {key: values[key] for key, _ in copied})
    return {path: plain[path] for _, path in copied}


def _split_key(text: str) -> tuple[str, str]:
    """Return the text of a stack's file without what belongs to that stack's secrets, and that."""
    parts = {False: "", True: ""}
    for line in text.splitlines(keepends=True):
        parts[line.partition(":")[0] in stack_secrets.KEYS] += line
    return parts[False], parts[True]


def _apply(config: Sequence[str], edit: Edit) -> None:
    path = ["--path"] if is_path(edit.key) else []
    verb, value = ("rm", []) if edit.value is None else ("set", [edit.value])
    run([*config, verb, *path, edit.key, *value])


def _problems(name: str) -> list[str]:
    """Return what is wrong with the new stack's settings; asks no engine."""
    try:
        _ = Stack(name).settings
    except UserError as problem:
        return [str(problem)]
    return []


def _report(name: str, source: str, edits: Sequence[Edit], hints: Sequence[str]) -> None:
    for edit in edits:
        reason = f" ({edit.reason})" if edit.reason else ""
        say(f"  {edit.key}: {'left out' if edit.value is None else edit.value}{reason}")
    for hint in hints:
        say(f"  {hint}")
    say(
        f"{Stack(name).file.name} was made from {Stack(source).file.name}: look at it, then"
        f" `make deploy STACK={name}`"
    )
