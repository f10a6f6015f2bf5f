"""The schema of Traefik's static configuration, made from what the pinned Traefik says of it.

Its Go module isn't served, so the program itself is asked: it lists its options, and refuses a
value of a wrong type by that type's name.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ops.bootstrap.console import UserError
from settings.proxy_schema import OWN_SECTIONS

from . import go
from .programs import ANSWER_S, program, wrong_with_options

Schema = dict[str, Any]
NAME = r"[A-Za-z0-9_-]+"
"""Names that stand within an option's path."""
_SAMPLES = {"boolean": "true", "integer": "1", "number": "0.5", "string": "x"}


def made_anew() -> str:
    """Return the schema as JSON."""
    traefik = program("traefik")
    paths = sorted(option_names(traefik))
    with ThreadPoolExecutor() as pool:
        kinds = dict(zip(paths, pool.map(lambda path: _kind(traefik, path), paths), strict=True))
    root = _object()
    for path, kind in kinds.items():
        _add(root, path.replace("[n]", ".[n]").split("."), kind)
    return json.dumps(root, indent=2, sort_keys=True)


def dns_providers() -> str:
    """Return the names of the DNS providers that Traefik's ACME client knows, a line each."""
    parts = go("version", "-m", str(program("traefik"))).split()
    module = next(part for part in parts if part.startswith("github.com/go-acme/lego/"))
    version = parts[parts.index(module) + 1]
    answer = json.loads(go("mod", "download", "-json", f"{module}@{version}"))
    source = Path(answer["Dir"]) / "providers/dns/zz_gen_dns_providers.go"
    cases = re.findall(r"^\tcase (.*):$", source.read_text(), re.MULTILINE)
    names = sorted({name for case in cases for name in re.findall(r'"([^"]+)"', case)})
    return "\n".join(names) + "\n"


def option_names(traefik: Path) -> set[str]:
    """Return the options that Traefik lists, such as `entrypoints.<name>.address`."""
    command = [str(traefik), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True)
    names = set(re.findall(r"^    --(\S+)", done.stdout, re.MULTILINE))
    return {name for name in names if name.partition(".")[0] not in OWN_SECTIONS}


def samples(schema: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each option of a schema, as Traefik lists it, with a value for it."""
    kind = schema["type"]
    if isinstance(kind, list):
        yield path, "true"
    if "object" in kind:
        for name, below in schema.get("properties", {}).items():
            yield from samples(below, f"{path}.{name}" if path else name)
        if others := schema.get("additionalProperties"):
            yield from samples(others, f"{path}.<name>")
    elif kind == "array" and schema["items"]["type"] == "object":
        yield path, "true"
        for name, below in schema["items"]["properties"].items():
            yield from samples(below, f"{path}[n].{name}")
    else:
        item = schema["items"] if kind == "array" else schema
        yield path, "1s" if item.get("format") else _SAMPLES[item["type"]]


def _kind(traefik: Path, path: str) -> Schema:
    """Return what the option at `path` takes."""
    flag = "--" + path.replace("<name>", "x").replace("[n]", "[0]")
    as_list = wrong_with_options(traefik, [f"{flag}[0]=1"])
    as_text = wrong_with_options(traefik, [f"{flag}=x y"]) or ""
    # In a map of texts, `x[0]` is a name like any other.
    if as_list is None and not path.endswith("<name>"):
        return {"type": "array", "items": _scalar(as_text)}
    if as_list is None or "invalid node" in as_list:
        return _scalar(as_text)
    if "field not found" in as_list:
        return {"type": "object"} if "standalone" in as_text else {"type": ["object", "boolean"]}
    raise UserError(f"{path}: {as_list}; {as_text}")


def _scalar(as_text: str) -> Schema:
    """Return what takes no text for the reason `as_text`; empty where it takes any."""
    if "duration" in as_text:
        return {"type": "string", "format": "seconds"}
    kinds = {"ParseBool": "boolean", "ParseInt": "integer", "ParseFloat": "number"}
    return {"type": next((kinds[each] for each in kinds if each in as_text), "string")}


def _object() -> Schema:
    return {"type": "object", "properties": {}, "additionalProperties": False}


def _add(schema: Schema, steps: list[str], kind: Schema) -> None:
    """Put `kind` at `steps` below `schema`, and what is on the way."""
    first, *rest = steps
    if first == "[n]":
        below = schema.setdefault("items", _object())
        if below["type"] != "object":
            below = schema["items"] = _object()
    elif first == "<name>":
        below = _below(schema, "additionalProperties")
        schema.pop("properties", None)
        pattern = NAME if rest or kind["type"] == ["object", "boolean"] else r"[^\s=]+"
        schema["propertyNames"] = {"pattern": pattern}
    else:
        schema.setdefault("properties", {})
        schema.setdefault("additionalProperties", False)
        below = _below(schema["properties"], first)
    if rest:
        _add(below, rest, kind)
    elif "object" in kind["type"]:
        below["type"] = kind["type"]
    else:
        below.clear()
        below.update(kind)


def _below(parent: Schema, name: str) -> Schema:
    if not parent.get(name):
        parent[name] = {"type": "object"}
    below: Schema = parent[name]
    return below
