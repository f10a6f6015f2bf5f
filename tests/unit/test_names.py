"""Names and docstrings: the field's terms, and one form of docstring for each kind of thing."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping

import pytest

from ops.bootstrap import ROOT

FOLDERS = ("components", "settings", "policy", "ops", "testing", "tests", "bench")
"""All folders with Python, beside the files at the top."""
PARTS: Mapping[str, str] = {
    "told": "settings, options, parameters, expected, outputs",
    "authority": "ca",
    "authorities": "ca_bundle",
    "linger": "deregistration_delay, graceful_stop",
    "ui": "dashboard",
}
"""Words that are no part of a name, and what to write instead. Names of tests are
sentences, and may have them."""
NAMES: Mapping[str, str] = {
    "said": "output, answer",
    "found": "what it is: engine, matches, paths",
    "what": "kind, reason, description",
    "words": "args, command",
    "both": "what they are",
    "own": "what it is",
    "over": "overrides",
    "again": "retry, repeated",
    "look": "inspect",
    "looks": "INSPECTIONS",
    "look_s": "POLL_SECONDS",
    "place": "location, node, path",
    "places": "locations, nodes, paths",
    "mirrored": "MIRRORS",
    "contents": "VolumeRole",
    "pinned": "images, digests",
    "pinned_image": "resolve_digest",
    "pinned_version": "locked_version",
    "pins_volume": "has_node_volume",
    "settle": "prepare_for_import",
    "asking": "NEEDS_KNOWN_INPUTS",
    "besides": "ignored, except_for",
    "try": "UPLOAD_URL",
    "of_one_stack": "STACK_SPECIFIC_KEYS",
    "everything": "ALL_SERVICE_INPUTS",
    "heap": "HEAP_FRACTION",
}
"""Words that aren't a name on their own, in any case and with leading underscores, and what to
write instead."""
CLASSES: Mapping[str, str] = {
    "Problem": "UserError",
    "Wrong": "CheckFailedError",
    "Ground": "Testbed",
    "Site": "SwarmUnderTest",
    "Turns": "Rounds",
    "Ours": "PulumiDeployment",
    "Pair": "CertificatePair",
    "Reading": "ReadOnlySocket",
    "Outside": "ClientHost",
}
"""Names that no class has, and what to write instead."""
NO_VERBS = re.compile(
    "What|Whether|Where|How|When|Which|Who|Why|The|A|An|One|All|Each|Every|Its|It|This|That"
)
"""Words that begin no docstring of a function: that one says what it does, as an order."""


def bindings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that is bound in a file, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name, node.lineno
            case ast.MatchStar(name=str(name)):
                yield name, node.lineno


def instead(name: str) -> str | None:
    """Return what to write instead of a name; None when it is a good one."""
    if name in CLASSES:
        return CLASSES[name]
    bare = name.strip("_").lower()
    if bare in NAMES:
        return NAMES[bare]
    if bare.startswith("test_"):
        return None
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
    return next((PARTS[part] for part in parts if part in PARTS), None)


def riddles(text: str) -> list[str]:
    """Return the names in a file that a stranger has to translate: `LINE: NAME (INSTEAD)`."""
    return [
        f"{line}: {name} (write: {better})"
        for name, line in bindings(ast.parse(text))
        if (better := instead(name))
    ]


def docstrings(tree: ast.AST) -> Iterator[tuple[str, ast.AST, int]]:
    """Yield each docstring, with what it is of and its line; also those of fields."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                pass
            case ast.ClassDef() | ast.Module():
                for field, after in itertools.pairwise(node.body):
                    match field, after:
                        case (
                            ast.Assign() | ast.AnnAssign(),
                            ast.Expr(value=ast.Constant(value=str(text))),
                        ):
                            yield text, field, after.lineno
            case _:
                continue
        if docstring := ast.get_docstring(node):
            yield docstring, node, getattr(node, "lineno", 1)


def begins_well(docstring: str, node: ast.AST) -> bool:
    """Return whether a docstring is an order, of a function, or a noun phrase, of all else.

    A property is a field; a policy's docstring is its description, any sentence.
    """
    first = re.split(r"[ ,:;.\n]", docstring, maxsplit=1)[0]
    if isinstance(node, ast.Module):
        return True
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if not node.name.startswith("_") and ast.unparse(node.args) == "inputs: Inputs":
            return True
        if not any("property" in ast.unparse(each) for each in node.decorator_list):
            is_verb = re.fullmatch(r"[A-Z][a-z-]*", first) and not re.search(r"[^s]s$", first)
            return bool(is_verb) and not NO_VERBS.fullmatch(first)
    return first not in ("What", "Whether", "Where", "How")


def clauses(text: str) -> list[str]:
    """Return the docstrings in a file that have another form than theirs: `LINE: BEGINNING`."""
    return [
        f"{line}: {docstring.splitlines()[0]}"
        for docstring, node, line in docstrings(ast.parse(text))
        if not begins_well(docstring, node)
        or not docstring.split("\n\n")[0].rstrip().endswith((".", ":", "?"))
    ]


def sources(folder: str) -> Iterator[tuple[str, str]]:
    for file in sorted(ROOT.glob(f"{folder}/**/*.py" if folder else "*.py")):
        yield str(file.relative_to(ROOT)), file.read_text()


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_names_are_the_fields_terms(folder: str) -> None:
    assert [f"{file}:{each}" for file, text in sources(folder) for each in riddles(text)] == []


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_docstrings_have_the_form_of_what_they_are_of(folder: str) -> None:
    assert [f"{file}:{each}" for file, text in sources(folder) for each in clauses(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "told = 1",
        "for what in (): ...",
        "def look(): ...",
        "def f(own): ...",
        "with f() as said: ...",
        "class Site: ...",
        "CA_AUTHORITY = 1",
        "try: ...\nexcept OSError as found: ...",
        "import a as words",
        "self.linger_seconds = 1",
    ],
)
def test_a_name_that_is_none_of_the_fields_is_found(text: str) -> None:
    assert len(riddles(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        'def f():\n    """What it is."""',
        'def f():\n    """Returns it."""',
        'def f():\n    """`x`, doubled."""',
        'def f():\n    """Return it"""',
        'class A:\n    x = 1\n    """Whether it is one."""',
        'class A:\n    """What it is."""',
    ],
)
def test_a_docstring_of_another_form_is_found(text: str) -> None:
    assert len(clauses(text)) == 1


def test_what_is_fine_passes() -> None:
    text = 'class A:\n    """A thing."""\n\n    x = 1\n    """Its size, MiB."""\n'
    text += '    def f(self) -> int:\n        """Pass it on."""\n        words_of_a_text = 1\n'
    assert riddles(text) == clauses(text) == []
