"""The documentation: what it names exists, and what is made from the program is as it was made."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.distribution.config import Upstream
from components.traefik.flags import METRICS_PORT
from ops.__main__ import COMMANDS
from ops.bootstrap import ROOT
from ops.documentation import pages, reference
from settings import stack_schema
from settings.mirrors import KEYS
from settings.pull_logins import PARTS
from settings.stack_file import full_key
from testing.documents import blocks

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LONGEST = 110
"""Characters of a line that is no table, link or code."""
BELOW = {
    "mirrors": KEYS,
    "pullLogins": PARTS,
    "formerPasswords": ("password", "until"),
}
"""Keys that are allowed one level below an entry of a map."""


def names(file: Path) -> str:
    return str(file.relative_to(ROOT))


documents = pytest.mark.parametrize("document", DOCUMENTS, ids=names)


@cache
def known() -> Mapping[str, Any]:
    """Return what each key takes, by full key."""
    return stack_schema.keys()


def prose(text: str) -> str:
    """Return the text without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


@documents
def test_each_key_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    for name in re.findall(r"(?<![\w./])((?:registry|docker):[a-z]\w+)(?!\w*[/@])", text):
        is_image = re.search(rf"{name}\.\d|{name}-", text)
        assert name in known() or is_image or re.fullmatch(r"\w+:latest", name), name
    for key, parts in BELOW.items():
        for part in re.findall(rf"registry:{key}(?:\.\w+|\[\"[^\"]+\"\])\.(\w+)", text):
            assert part in parts


def test_each_key_is_in_the_reference_once() -> None:
    documented = [key for keys, *_ in reference() for key in keys]
    assert sorted(documented) == sorted(known())


def test_the_reference_has_the_defaults_of_the_program() -> None:
    for keys, default, _ in reference():
        values = re.findall(r"`([^`]*)`", default)
        fixed = [known()[key]["default"] for key in keys if "default" in known()[key]]
        # What another setting decides is told in words: `none`, "as for the images".
        if len(values) == len(fixed) == len(keys) and default.replace("`, `", "").count("`") == 2:
            assert values == [_shown(value) for value in fixed], keys
        else:
            assert all(value in ([], 0) for value in fixed), keys


def test_the_reference_has_the_bounds_and_choices_of_the_program() -> None:
    for keys, default, text in reference():
        for key in keys:
            takes = known()[key]
            if "minimum" in takes and not key.endswith("Port"):
                assert f"{takes['minimum']} to {takes['maximum']}" in text, key
            # Of two, the one that isn't the default has to be named.
            for choice in takes.get("enum", ()):
                if isinstance(choice, str) and choice not in ("true", "false"):
                    assert f"`{choice}" in default + text, (key, choice)


def test_the_reference_has_the_facts_of_the_program() -> None:
    rows = {key: (default, text) for keys, default, text in reference() for key in keys}
    assert f"port {METRICS_PORT} " in rows["registry:proxyMetrics"][1]
    assert f"`ttl` (`{Upstream(url='https://example.com').ttl}`)" in rows["registry:mirrors"][1]


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


@documents
def test_each_command_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    # In blocks, and among words, where a message of the program may begin with "make" too.
    typed = re.findall(r"(?:^|&& |\$\()make (?:-s )?([a-z]+)\b", text, re.MULTILINE)
    for name in [*typed, *re.findall(r"`make ([a-z]+)(?=`| [A-Z]+=)", text)]:
        assert name in {*COMMANDS, "help"}, name


@documents
def test_each_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document.read_text())):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if anchor:
            assert anchor in set(_anchors(file)), target


def _anchors(document: Path) -> Iterator[str]:
    """Yield the anchors that GitHub gives to headings."""
    for heading in re.findall(r"^#+ (.*)$", prose(document.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        yield re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


@documents
def test_each_document_is_reached_from_the_readme(document: Path) -> None:
    reached, rest = set(), [ROOT / "README.md"]
    while rest:
        file = rest.pop()
        reached.add(file)
        links = re.findall(r"\]\(([^)#\s]+\.md)", prose(file.read_text()))
        rest += {(file.parent / link).resolve() for link in links} - reached
    # GitHub itself leads to those beside the README.
    assert document in reached or document.parent == ROOT


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


@documents
def test_lines_are_of_the_usual_length(document: Path) -> None:
    for line in prose(document.read_text()).splitlines():
        if not line.lstrip("> ").startswith("|") and "](" not in line:
            assert len(line) <= LONGEST, line


@pytest.mark.parametrize("file", pages(), ids=names)
def test_what_is_made_from_the_program_is_up_to_date(file: Path) -> None:
    assert file.read_text() == pages()[file], "run `make docs`"


@cache
def texts_of_the_program() -> tuple[str, ...]:
    """Return all texts in the program's sources, with … for what differs."""
    texts = [(ROOT / "components/files/storage-first.sh").read_text()]
    for folder in ("components", "settings", "ops"):
        for file in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(file.read_text())
            descriptions = {
                each.value
                for each in ast.walk(tree)
                if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
            }
            for node in ast.walk(tree):
                if node in descriptions:
                    continue
                if isinstance(node, ast.JoinedStr):
                    parts = (
                        str(part.value) if isinstance(part, ast.Constant) else "…"
                        for part in node.values
                    )
                    texts.append("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return tuple(texts)


def messages() -> list[str]:
    """Return the messages of this program that the documentation explains."""
    text = (ROOT / "docs/troubleshooting.md").read_text().partition("## What docker says")[0]
    return re.findall(r"^\| `(.*?)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("message", messages())
def test_each_message_that_is_explained_is_one_of_the_program(message: str) -> None:
    parts = [re.escape(part) for part in message.split("…")]
    pattern = re.compile(".*?".join(parts), re.DOTALL)
    assert any(pattern.search(text) for text in texts_of_the_program())


@documents
def test_each_mark_of_commands_that_are_run_is_read(document: Path) -> None:
    marks = re.findall(r"^\s*<!-- run\b", document.read_text(), re.MULTILINE)
    assert len(list(blocks(document))) == len(marks)


ROTATE = "tests/unit/test_rotate.py"
ELSEWHERE = {
    "make build PUSH=ghcr.io/acme": "tests/system/test_publish.py",
    "pulumi config set --stack prod registry:toolsImage ghcr.io/acme/registry-tools:1.0.0": (
        "tests/system/test_token.py"
    ),
    "make rotate KEY=1 STACK=prod": ROTATE,
    # What that command does, by hand.
    "pulumi config set --stack prod --path --type string 'registry:signingKeys[0]' 1": ROTATE,
    "pulumi config set --stack prod --path --type string 'registry:signingKeys[1]' 2": ROTATE,
    "pulumi config set --stack prod --path --type string 'registry:signingKeys[0]' 2": ROTATE,
    "pulumi config set --stack prod --path --type string 'registry:signingKeys[1]' 1": ROTATE,
    "pulumi config rm --stack prod --path 'registry:signingKeys[1]'": ROTATE,
}
"""Commands of the page on access that its own run leaves out, and where they are tried."""


def test_each_command_of_the_page_on_access_is_run() -> None:
    document = ROOT / "docs/access.md"
    run = {block.commands for block in blocks(document)}
    shown = re.findall(r"^```bash\n(.*?)\n^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    others = {line for text in shown if text not in run for line in text.splitlines()}
    others -= {line for text in run for line in text.splitlines()}
    assert others == set(ELSEWHERE)
    assert all((ROOT / file).exists() for file in ELSEWHERE.values())


STACK_FILES = sorted(ROOT.glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("file", STACK_FILES, ids=names)
def test_the_schema_knows_the_keys_of_the_stack_files(file: Path) -> None:
    config = yaml.safe_load(file.read_text())["config"]
    page = json.loads(pages()[ROOT / "docs/pulumi-stack.schema.json"])
    properties = page["properties"]["config"]["properties"]
    for key, value in config.items():
        takes = properties[full_key(key)]["anyOf"][0]
        if "enum" in takes:
            assert value in takes["enum"]
        elif "pattern" in takes:
            assert re.search(takes["pattern"], str(value))
