"""Where keys of the configuration are read: in the settings, each once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from ops.bootstrap import ROOT

FOLDERS = ("components", "policy", "ops", "testing", "bench")
"""All folders but the settings; `__main__.py` and `deployment.py` are looked at, too."""
KEY = re.compile(r"(registry|docker):\w*")
"""The beginning of a key, with which types of resources don't begin: `docker:index/…`."""


def reads(text: str) -> Iterator[str]:
    """Yield the keys that a file takes out of a mapping, or asks it for.

    A key may be a text, the name of one at the top of the file, or a text with values in it.
    """
    tree = ast.parse(text)
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(slice=key, ctx=ast.Load()):
                pass
            case ast.Call(
                func=ast.Attribute(attr="get" | "pop" | "require" | "setdefault"), args=[key, *_]
            ):
                pass
            case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()]):
                pass
            case _:
                continue
        if isinstance(key, ast.Name):
            key = named.get(key.id, key)
        match key:
            case (
                ast.Constant(value=str(start))
                | ast.JoinedStr(values=[ast.Constant(value=str(start)), *_])
            ) if re.fullmatch(KEY, start):
                yield start


@pytest.mark.parametrize(
    "line",
    [
        "values['registry:a']",
        "values.get('registry:a', '')",
        "values.pop('registry:a')",
        "'registry:a' in values",
        "x = 'registry:a' not in values",
        "KEY = 'registry:a'\nvalues[KEY]",
        "values[f'registry:a{part}']",
        "def later():\n    return values['registry:a']",
    ],
)
def test_a_key_that_is_read_is_found(line: str) -> None:
    assert list(reads(line)) == ["registry:a"]


@pytest.mark.parametrize(
    "line",
    [
        "values['registry:a'] = 1",
        "values = {'registry:a': 1}",
        "values = {f'registry:{key}': 1}",
        "print('registry:a is wrong')",
        "other['a']",
        "name in ('registry:a', 'registry:b')",
        "'docker:index/service:Service::' in urn",
    ],
)
def test_a_key_that_is_written_or_spoken_of_is_not_read(line: str) -> None:
    assert list(reads(line)) == []


def test_no_key_is_read_outside_the_settings() -> None:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    keys = {
        str(path.relative_to(ROOT)): list(reads(path.read_text()))
        for path in [*files, *ROOT.glob("*.py")]
    }
    assert {file: read for file, read in keys.items() if read} == {}
