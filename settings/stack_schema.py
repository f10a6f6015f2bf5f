"""The JSON Schema of a stack's file, for editors: made of what the settings themselves read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from settings.kinds import BOOLEAN, CORES, Choice, Kind, Mebibytes, Number, Rule
from settings.reader import Reader
from settings.renamed import END, SETTINGS
from settings.stack import settings_of
from settings.stack_file import NAMESPACE, full_key

T = TypeVar("T")
Schema = dict[str, Any]

_ENCRYPTED: Schema = {"$ref": "#/definitions/encrypted"}
_DEFINITIONS: Schema = {
    "encrypted": {
        "type": "object",
        "description": "Written by `pulumi config set --secret`.",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
    }
}


class _Listener(Reader):
    """A reader of no values, which notes for each key what it would take, and its default.

    A stack with a Traefik of its own reads more than one without, and has other defaults.
    """

    def __init__(self, stack_name: str, proxy: str) -> None:
        super().__init__({}, lambda _: False, "")
        self._given = {"stackName": stack_name, "proxy": proxy}
        self.schemas: dict[str, Schema] = {}
        """By full key."""

    def _note(self, key: str, schema: Schema) -> None:
        self.schemas.setdefault(full_key(key), schema)

    def get(self, key: str, kind: Kind[T], default: T | None = None) -> Any:
        self._note(key, _schema(kind, default))
        return self._given.get(key, default)

    def required(self, key: str, rule: Rule) -> str:
        self._note(key, _schema(rule, None))
        return self._given.get(key) or super().required(key, rule)

    def names(self, key: str, rule: Rule, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        self._note(key, {"type": "array", "items": _schema(rule, None), "default": list(default)})
        return super().names(key, rule, default)

    def items(self, key: str, example: str) -> list[Any] | None:
        self._note(key, {"type": "array"})
        return super().items(key, example)

    def mapping(self, key: str, example: str) -> Mapping[str, Any]:
        self._note(key, {"type": "object"})
        return super().mapping(key, example)

    def pem(self, key: str, kind: str) -> str | None:
        self._note(key, {"type": "string"})
        return super().pem(key, kind)

    def secret_value(self, key: str, rule: Rule) -> str | None:
        self._note(key, {"type": "string"})
        return super().secret_value(key, rule)


def _schema(kind: Kind[T], default: T | None) -> Schema:
    """Return what a text of `kind` is in YAML, which makes numbers and booleans of some."""
    schema: Schema = {"description": f"It must be {kind.must}."}
    if isinstance(kind, Choice):
        schema = {"enum": list(kind.names)}
    elif kind is BOOLEAN:
        # Pulumi writes a quoted one as readily.
        schema = {"enum": [True, False, "true", "false"]}
    elif isinstance(kind, Number):
        schema |= {"type": ["integer", "string"], "pattern": r"^[0-9]{1,9}$"}
        schema |= {"minimum": kind.low, "maximum": kind.high}
    elif isinstance(kind, Mebibytes):
        schema |= {"type": "string", "pattern": f"^{kind.pattern}$", "examples": ["512MiB"]}
    elif kind is CORES:
        schema |= {"type": ["number", "string"], "exclusiveMinimum": 0}
    elif isinstance(kind, Rule):
        schema |= {"type": ["string", "number"], "pattern": f"^({kind.pattern})$"}
        schema |= {"examples": [kind.sample]}
    if default in (None, ""):
        return schema
    shown = f"{default}MiB" if isinstance(kind, Mebibytes) else default
    return schema | {"default": shown}


def keys() -> dict[str, Schema]:
    """Return what each key takes, by full key: types, rules and, where it is fixed, the default."""
    listeners = [_Listener("one", "none"), _Listener("other", "stack"), _Listener("one", "main")]
    schemas: dict[str, Schema] = {}
    for listener in listeners:
        settings_of(listener)
        for key, schema in listener.schemas.items():
            first = schemas.setdefault(key, schema)
            # What depends on other settings is no default.
            if first.get("default") != schema.get("default"):
                first.pop("default", None)
    return dict(sorted(schemas.items()))


def stack_file(descriptions: Mapping[str, str]) -> Schema:
    """Return the schema of a `Pulumi.<stack>.yaml`; `descriptions` are by full key."""
    properties: Schema = {}
    for key, schema in keys().items():
        rule = schema.pop("description", "")
        texts = [text for text in (descriptions.get(key, ""), rule) if text]
        about = {"description": "\n\n".join(texts)}
        about |= {name: schema.pop(name) for name in ("default", "examples") if name in schema}
        properties[key] = about | {"anyOf": [schema, _ENCRYPTED]}
    for former, present in SETTINGS.items():
        properties[full_key(former)] = {
            "description": f"Former name of `{full_key(present)}`, which works until {END}.",
            "deprecated": True,
            "anyOf": properties[full_key(present)]["anyOf"],
        }
    ours = {"enum": [key for key in properties if key.startswith(f"{NAMESPACE}:")]}
    other = {"not": {"pattern": f"^{NAMESPACE}:"}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings of one stack of the registry",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": properties,
                "propertyNames": {"anyOf": [ours, other]},
            }
        },
        "definitions": _DEFINITIONS,
    }
