"""What keeps the program readable: its components are alike, its files and functions short."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

import components

from .program import ROOT, Declared, declare
from .shared_program import SECRETS
from .test_program import PROGRAMS

COMPONENT = "registry:index:"
"""Beginning of all components' type tokens."""
STACK = "pulumi:pulumi:Stack$"
"""Beginning of what is below the stack itself."""
CLASSES = {
    name: each
    for name in components.__all__
    for each in [getattr(components, name)]
    if isinstance(each, type) and issubclass(each, pulumi.ComponentResource)
}
FORBIDDEN = {"Config", "get_stack", "get_project", "export"}
"""Names of Pulumi's that only a program may use, not a component."""
MAX_LINES = {"__main__.py": 40, "deployment.py": 150}
"""Lines of a file; 300 for any other, unless it gives its `REASON`."""
MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 60
FOLDERS = (
    "__main__.py",
    "deployment.py",
    "components",
    "settings",
    "policy",
    "ops",
    "testing",
    "bench",
    "tests",
)
REASON = "One file, since "
"""Begins the sentence of a longer file's docstring that says why it isn't several."""


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Declared]:
    """Return what programs declare that have all components between them."""
    return [
        declare(PROGRAMS[name], SECRETS, monkeypatch, tmp_path)
        for name in ("main", "store", "token", "gc", "backup")
    ]


def kind(urn: str) -> str:
    """Return a resource's own type, without those of its parents."""
    return urn.partition("::")[0].rpartition("$")[2]


def test_each_component_is_exported_and_has_a_type_of_its_own(declared: list[Declared]) -> None:
    urns = [urn for each in declared for urn in each.resources]
    types = {kind(urn).removeprefix(COMPONENT) for urn in urns if kind(urn).startswith(COMPONENT)}
    assert types == set(CLASSES)


def test_each_component_registers_its_outputs(declared: list[Declared]) -> None:
    for each in declared:
        assert each.finished >= {urn for urn in each.resources if kind(urn).startswith(COMPONENT)}


def test_each_resource_of_a_component_is_below_it(declared: list[Declared]) -> None:
    for each in declared:
        top = {urn for urn in each.resources if urn.startswith(STACK)}
        alone = {urn.rpartition("::")[2] for urn in top if not kind(urn).startswith(COMPONENT)}
        assert alone == {"engine", "service-images"}


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    for folder in folders:
        pattern = folder if folder.endswith(".py") else f"{folder}/**/*.py"
        files = sorted(ROOT.glob(pattern))
        for file in files:
            yield str(file.relative_to(ROOT)), file.read_text()


def test_components_know_no_stack_and_read_no_setting() -> None:
    for file, text in sources("components"):
        used = {
            node.attr
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "pulumi"
        }
        assert not used & FORBIDDEN, file


def test_files_and_functions_in_go_are_short() -> None:
    for path in [*(ROOT / "images").rglob("*.go"), *(ROOT / "bench").rglob("*.go")]:
        text = path.read_text()
        assert text.count("\n") <= MAX_FILE_LINES, path
        for function in re.findall(r"^func (?![^\n]*}$).*?^}$", text, re.MULTILINE | re.DOTALL):
            assert function.count("\n") < MAX_FUNCTION_LINES, f"{path}: {function[:60]}"


def test_files_and_functions_are_short() -> None:
    for file, text in sources(*FOLDERS):
        tree = ast.parse(text)
        if REASON not in (ast.get_docstring(tree) or ""):
            assert text.count("\n") <= MAX_LINES.get(file, MAX_FILE_LINES), file
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= MAX_FUNCTION_LINES, f"{file}: {node.name}"
