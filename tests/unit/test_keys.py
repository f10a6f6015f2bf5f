"""Where keys of the configuration are read: in the settings, each once."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from ops.bootstrap import ROOT

FOLDERS = ("components", "policy", "ops", "testing", "bench")
"""All folders but the settings; `__main__.py` and `deployment.py` are looked at, too."""
NAMESPACES = ("registry:", "docker:")
ELSEWHERE: Mapping[str, str] = {
    "ops/config.py": "names that commands need at once; test_stack compares them with the settings",
    "ops/doctor/store.py": "a store is tried also where other settings are wrong",
    "ops/adopt": "settings that are still to be written, and aren't whole",
}
"""Files and folders that read keys by themselves, with the reason."""


def reads(text: str) -> Iterator[str]:
    """Yield the keys that a file takes out of a mapping, by `[…]` or `.get`."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Subscript(slice=ast.Constant(value=str(key)), ctx=ast.Load()):
                pass
            case ast.Call(
                func=ast.Attribute(attr="get" | "pop" | "require"),
                args=[ast.Constant(value=str(key)), *_],
            ):
                pass
            case _:
                continue
        if key.startswith(NAMESPACES):
            yield key


def test_a_key_that_is_read_is_found() -> None:
    text = "values['registry:a'] = values['registry:b']\nvalues.get('docker:host', '')\nother['c']"
    assert sorted(reads(text)) == ["docker:host", "registry:b"]


def test_no_key_is_read_outside_the_settings() -> None:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    keys_by_file = {}
    for path in [*files, *ROOT.glob("*.py")]:
        name = path.relative_to(ROOT)
        if not any(name.is_relative_to(Path(each)) for each in ELSEWHERE):
            keys_by_file[str(name)] = list(reads(path.read_text()))
    assert {name: keys for name, keys in keys_by_file.items() if keys} == {}


def test_each_file_that_reads_keys_by_itself_does() -> None:
    for name in ELSEWHERE:
        path = ROOT / name
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        assert any(list(reads(file.read_text())) for file in files), name
