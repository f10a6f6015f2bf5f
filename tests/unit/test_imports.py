"""Who may import whom: a contract, so that the layers stay layers."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ops.bootstrap import ROOT

from .shared_python import printed_by_python

PROGRAM = "program"
"""The files at the top, which Pulumi runs."""
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "components": frozenset(),
    "policy": frozenset({"components"}),
    "settings": frozenset({"components", "policy"}),
    PROGRAM: frozenset({"components", "settings", PROGRAM}),
    "package": frozenset({"components"}),
    "docs": frozenset({"components"}),
    "ops": frozenset({"components", "policy", "settings"}),
    "testing": frozenset({"components", "ops"}),
    "bench": frozenset({"components", "settings", "ops", "testing"}),
    "tests": frozenset({"components", "policy", "settings", PROGRAM, "ops", "testing", "bench"}),
}
"""Folders from which the files of each folder may import, beside their own."""
BARE = frozenset(
    {
        "ops",
        "components.swarm.endpoint",
        "components.swarm.engine_errors",
        "components.swarm",
        "components.swarm.engine_kind",
        "components.swarm.manager",
        "components.swarm.ssh",
    }
)
"""Modules of the project that `ops.bootstrap` may import beside its own: like these, they need the
standard library alone."""


def sources() -> dict[Path, str]:
    """Return the text of each Python file of the project, by its path in there."""
    files = [
        *ROOT.glob("*.py"),
        *(each for name in MAY_IMPORT for each in ROOT.glob(f"{name}/**/*.py")),
    ]
    return {file.relative_to(ROOT): file.read_text() for file in files}


def modules(text: str) -> Iterator[str]:
    """Yield the full names of what a file imports, wherever in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def breaks(files: Mapping[Path, str]) -> list[str]:
    """Return each import that the contract doesn't allow: `FILE imports MODULE`."""
    top = {file.stem: PROGRAM for file in files if len(file.parts) == 1}
    layer_of = {name: name for name in MAY_IMPORT} | top
    return [
        f"{file} imports {module}"
        for file, text in files.items()
        for layer in [layer_of[file.with_suffix("").parts[0]]]
        for module in modules(text)
        for other in [layer_of.get(module.partition(".")[0], layer)]
        if other != layer and other not in MAY_IMPORT[layer]
    ]


def needs_packages(files: Mapping[Path, str]) -> list[str]:
    """Return each import of a file that isn't there on a bare Python: `FILE imports MODULE`."""
    return [
        f"{file} imports {module}"
        for file, text in files.items()
        for module in map(module_of, names(text))
        if module.partition(".")[0] not in sys.stdlib_module_names
        and module not in BARE
        and not f"{module}.".startswith("ops.bootstrap.")
    ]


def names(text: str) -> Iterator[str]:
    """Yield the full names of what a file imports: modules, and what is taken from them."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str:
    """Return the module that a full name leads to: itself, or the one that it is taken from."""
    path = ROOT.joinpath(*name.split("."))
    is_module = path.is_dir() or path.with_suffix(".py").is_file()
    return name if is_module or "." not in name else name.rpartition(".")[0]


def file_of(module: Path) -> Path:
    return module / "__init__.py" if (ROOT / module).is_dir() else module.with_suffix(".py")


def test_each_layer_imports_only_what_is_below_it() -> None:
    assert breaks(sources()) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("components/registry.py", "from settings import parse"),
        ("components/registry.py", "def late():\n    import ops.stack"),
        ("components/swarm/engine.py", "from policy import leaks"),
        ("settings/reader.py", "from ops.bootstrap.console import UserError"),
        ("settings/reader.py", "import deployment"),
        ("policy/rules.py", "from settings import parse"),
        ("ops/stack.py", "from testing.site import SwarmUnderTest"),
        ("__main__.py", "from ops import stack"),
        ("testing/site.py", "from tests.unit import conftest"),
        ("bench/data.py", "import tests.system.conftest as conftest"),
    ],
)
def test_an_import_from_above_breaks_the_contract(file: str, line: str) -> None:
    (broken,) = breaks({Path("deployment.py"): "", Path(file): line})
    assert broken.startswith(f"{file} imports ")


def test_every_folder_with_python_in_it_is_in_the_contract() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    folders = {line.partition("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert folders <= set(MAY_IMPORT)


def test_the_bootstrap_needs_no_package() -> None:
    # Without the virtual environment, which it makes, there is the standard library alone.
    bare = [file.with_suffix("") for file in sources() if file.parts[:2] == ("ops", "bootstrap")]
    bare += [Path(*module.split(".")) for module in BARE]
    files = [file_of(path) for path in bare]
    assert needs_packages({file: (ROOT / file).read_text() for file in files}) == []
    starts = ["ops.__main__", *(str(path).replace("/", ".") for path in bare)]
    assert printed_by_python(f"import {', '.join(starts)}", "-S") == ""


@pytest.mark.parametrize(
    "line",
    [
        "import yaml",
        "from docker import errors",
        "from settings import parse",
        "from ops import stack",
        "from ops.pulumi import pulumi",
        "from components.swarm import inspect",
        "from components.swarm.engine import find_engine",
        "def late():\n    import pulumi",
    ],
)
def test_a_bootstrap_that_needs_a_package_breaks_the_contract(line: str) -> None:
    (broken,) = needs_packages({Path("ops/bootstrap/engine.py"): line})
    assert broken.startswith("ops/bootstrap/engine.py imports ")
