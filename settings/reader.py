"""Reads configuration keys one by one, and gathers what is wrong with any of them."""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar, cast, overload

from settings.kinds import Kind, Rule, WrongValueError
from settings.pem import WrongPemError, read_pem
from settings.problems import Problems
from settings.renamed import FORMER, former_keys, how_to_rename
from settings.stack_file import NAMESPACE, Step, below, full_key, is_encrypted, key_of, path_of

T = TypeVar("T")
UNKNOWN = "…"
"""Stands for an example where none helps."""
HIDDEN_VALUE = "[secret]"
"""Stands for a value that no message may show."""
MAX_DEPTH = 50
"""Levels of lists and maps in each other, in the value of one key; no program has half as many."""
DOCKER_KEYS = "docker:"
"""Keys of the docker provider, of which the program passes some on."""


class Reader(Problems):
    """Takes keys one by one and gathers what is wrong with them."""

    def __init__(
        self,
        values: Mapping[str, str],
        is_secret: Callable[[str], bool],
        stack: str,
        file: Mapping[str, Any] | None = None,
    ) -> None:
        """Read `values`; `file` is the stack's file, by full key (`stack_file.config_of`)."""
        super().__init__(stack, former_keys(values))
        self._values = values
        self._is_secret = is_secret
        self._file = file or {}
        self._known: set[str] = set()
        self.unshared: dict[str, str] = {}
        """Reasons by full key: what is one stack's alone, so that a copy for another has none."""

    def unshare(self, key: str, reason: str) -> None:
        """Note that two stacks mustn't have the same under `key`; `reason` says what it is."""
        self.unshared[self.full_key(key)] = reason

    def _raw(self, key: str) -> str | None:
        if full_key(key) not in self._known:
            self._known.add(full_key(key))
            self._check_former_name(key)
        return self._values.get(self.full_key(key))

    def _check_former_name(self, key: str) -> None:
        former = full_key(FORMER.get(key, key))
        if former == full_key(key) or former not in self._values:
            return
        self._known.add(former)
        if full_key(key) in self._values:
            self.remove(FORMER[key], f"is the former name of {full_key(key)}, which is set, too.")
        else:
            secret = self._is_secret(former)
            value = "--secret" if secret else shlex.quote(self._values[former])
            self.warnings.append(how_to_rename(key, self.stack, value))

    def shown(self, path: str, value: object) -> str:
        """Return a value, at a path that begins with its key, as a message may show it."""
        is_secret = self._is_secret(self.full_key(key_of(path)))
        return HIDDEN_VALUE if is_secret else repr(value)

    @overload
    def get(self, key: str, kind: Kind[T], default: T) -> T: ...
    @overload
    def get(self, key: str, kind: Kind[T], default: None = None) -> T | None: ...
    def get(self, key: str, kind: Kind[T], default: T | None = None) -> T | None:
        """Return the value of `key`; `default` when the stack's file says nothing of it."""
        text = self._raw(key)
        if text is None:
            return default
        try:
            return kind.parse(text)
        except WrongValueError as error:
            self.problem(key, self._reason(key, text, kind, error), kind.example(default))
            return kind.instead(text, default)

    def required(self, key: str, rule: Rule) -> str:
        """Return the text of `key`; that it is missing is a problem."""
        if self._raw(key) is None:
            self.problem(key, f"is missing: it must be {rule.must}.", rule.sample)
            return rule.sample
        return self.get(key, rule, "")

    def _json(self, key: str, kind: type, must: str, example: str) -> Any:
        value = self._raw(key)
        if value is None:
            return None
        parsed = parsed_json(value)
        if not isinstance(parsed, kind):
            # Pulumi sets nothing below a text.
            self.remove(key, f"must be {must}: take it out.")
            if kind is list and example != UNKNOWN:
                command = f"{self.command('set', f'{key}[0]', path=True)} {shlex.quote(example)}"
                self.problems[-1] += f"\n      {command}"
            return None
        return parsed

    def names(self, key: str, rule: Rule, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the list of texts at `key`, in which none is twice."""
        items = self._json(key, list, f"a list, each {rule.must}", rule.sample)
        if items is None:
            return default
        texts = self.list_at(key, items, rule)
        for twice in sorted({text for text in texts if texts.count(text) > 1}):
            self.problem(key, f"has {self.shown(key, twice)} twice.")
        return texts

    def list_at(
        self, path: str, value: object, kind: Kind[str], *, required: bool = False
    ) -> tuple[str, ...]:
        """Return `value`, which must be a list of texts of one kind, at `path`."""
        if not isinstance(value, list):
            self.problem(f"{path}[0]", "must be in a list.", kind.example(None), path=True)
            return ()
        if required and not value:
            reason = f"is missing: it must be {kind.must}."
            self.problem(f"{path}[0]", reason, kind.example(None), path=True)
        for index, item in enumerate(value):
            self._check_text(f"{path}[{index}]", item, kind)
        return tuple(map(str, value))

    def _reason(self, path: str, value: object, kind: Kind[T], error: WrongValueError) -> str:
        """Return what is wrong with `value`, which is of another kind, and what may be meant."""
        shown = self.shown(path, value)
        hint = close_to(str(value), kind.names) if shown != HIDDEN_VALUE else ""
        return f"is {shown}: it must be {error}.{hint}"

    def _check_text(self, path: str, value: object, kind: Kind[str]) -> None:
        """Note what is wrong with `value`, which must be a text of `kind`, at `path`."""
        try:
            kind.parse(str(value))
        except WrongValueError as error:
            reason = self._reason(path, value, kind, error)
            self.problem(path, reason, kind.example(None), path=True)
            return
        if not isinstance(value, str):
            # With `--path` alone, Pulumi takes digits for a number.
            command = self.command("set", path, path=True, flags=" --type string")
            shown = self.shown(path, value)
            text = shown if type(value) is int else shlex.quote(kind.example(None))
            self.problem(path, f"is {shown}: it must be a text.\n      {command} {text}")

    def items(self, key: str, example: str) -> list[Any] | None:
        """Return the list at `key`, whatever is in it."""
        return cast("list[Any] | None", self._json(key, list, "a list", example))

    def mapping(self, key: str, example: str) -> Mapping[str, Any]:
        return (
            cast("Mapping[str, Any]", self._json(key, dict, "a map of names to values", example))
            or {}
        )

    def map_at(self, path: str, value: object, keys: Collection[str]) -> Mapping[str, Any] | None:
        """Return `value`, which must be a map that has none but `keys`, at `path`."""
        if not isinstance(value, Mapping):
            self.remove(path, f"must be a map of {', '.join(keys)}.")
            return None
        for key in sorted(set(value) - set(keys)):
            self.remove(below(path, key), f"is none of {', '.join(keys)}.{close_to(key, keys)}")
        return value

    def part(
        self, path: str, values: Mapping[str, Any], name: str, rule: Rule, default: str | None = ""
    ) -> str | None:
        """Return the text `name` of the map at `path`; required when `default` is ""."""
        value = values.get(name)
        if value is None:
            value = default
        if value == "":
            self.problem(
                f"{path}.{name}", f"is missing: it must be {rule.must}.", rule.sample, path=True
            )
        elif value is not None:
            self._check_text(f"{path}.{name}", value, rule)
        return None if value is None else str(value)

    def texts(self, key: str, names: Rule, example: str) -> Mapping[str, str]:
        """Return a map of names to texts that aren't empty."""
        values = self.mapping(key, example)
        for name, value in values.items():
            if not names.admits(name):
                self.problem(path_of(key, name), f"has a wrong name: it must be {names.must}.")
            # A number in YAML or on the command line arrives as a number.
            elif not isinstance(value, str) or not value:
                self.problem(path_of(key, name), "must be a text that isn't empty.")
        return {name: str(value) for name, value in values.items()}

    def pem(self, key: str, kind: str) -> str | None:
        """Return a text with a PEM block of `kind` in it, or what the file of that name has."""
        value = self._raw(key)
        return None if value is None else self.pem_part(key, value, kind)

    def pem_part(self, key: str, value: object, kind: str) -> str | None:
        """Return the same for a `value` that is known already."""
        try:
            return read_pem(str(value), kind)
        except WrongPemError as error:
            self.problem(key, f"{error}.", error.example, "." in key)
            return None

    def secret(self, key: str, *path: Step) -> None:
        """Note a problem when something at `path` below `key` is in plain text."""
        name = self.full_key(key)
        if not self.has(key) or (
            self._is_secret(name) and is_encrypted(self._file.get(name), *path)
        ):
            return
        whole = path_of(key, *path)
        command = self.command("set", whole, path=bool(path), flags=" --secret")
        reason = "is in plain text in the stack's file or in Pulumi.yaml. Encrypt it:"
        self.problem(whole, f"{reason}\n      {command}")

    def secret_value(self, key: str, rule: Rule) -> str | None:
        """Return the text of `key`, which must be a secret; no problem shows it."""
        self.secret(key)
        value = self._raw(key)
        if value is not None and not rule.admits(value):
            command = self.command("set", key, flags=" --secret")
            self.problem(key, f"must be {rule.must}.\n      {command}")
        return value

    def open(self, key: str, instead: str) -> None:
        """Note a problem when `key` is a secret: what it says is for all to see."""
        if self.has(key) and self._is_secret(self.full_key(key)):
            self.problem(key, f"is a secret, and can't stay one: {instead}.")

    def secret_text(self, key: str) -> None:
        """Do as `secret` for a key that may name a file instead."""
        if "-----BEGIN" in self._values.get(self.full_key(key), ""):
            self.secret(key)

    def has(self, key: str) -> bool:
        """Return whether the stack's file says something of `key`."""
        return self._raw(key) is not None

    def unknown(self) -> None:
        """Note keys of this project that nobody reads: a slip of the pen does nothing else."""
        engine = [key for key in sorted(self._known) if key.startswith(DOCKER_KEYS)]
        for key in sorted(set(self._values) - self._known):
            if key.startswith(f"{NAMESPACE}:"):
                hint = close_to(key, self._known)
                self.remove(key.partition(":")[2], f"is not a setting.{hint}")
            elif key.startswith(DOCKER_KEYS):
                # Else the provider would go to another engine than meant, without a word.
                hint = close_to(key, engine)
                reason = f"is not passed on to Docker's provider: {', '.join(engine)} are."
                self.remove(key, f"{reason}{hint}")


def parsed_json(text: str) -> Any:
    """Return the value of `text`; None where it is no JSON that other programs take as well.

    Python reads halves of characters, NaN and infinite numbers, too.
    """
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return None if _is_deeper(value, MAX_DEPTH) else value


def _is_deeper(value: Any, levels: int) -> bool:
    """Return whether lists and maps are in each other on more than so many levels."""
    if not isinstance(value, Mapping | list):
        return False
    parts = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in parts)


def close_to(name: str, known: Collection[str]) -> str:
    """Return a question about what may have been meant, after a blank; else nothing."""
    near = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {near[0]}?" if near else ""
