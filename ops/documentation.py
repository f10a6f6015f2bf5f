"""The parts of the documentation that are made from the program: `make docs` writes them.

The schema of a stack's file, pictures of what production deploys and of what commands print, and
the table of figures.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.bootstrap import ROOT
from ops.bootstrap.console import write_whole
from ops.terminal import picture as terminal_picture
from settings.stack_file import full_key
from settings.stack_schema import stack_file

REFERENCE = ROOT / "docs/settings.md"
RECORDS = [ROOT / f"tests/golden/program-{name}.json" for name in ("prod", "main")]
"""Records of all that the program declares, which tests/unit/test_program.py keeps up to date: for
the production settings of the repository, and with nearly all features switched on."""

SCREENS = {"status-well": "make status STACK=live", "status-faults": "make status STACK=live"}
"""Commands whose output is drawn, by the name of the file in docs/ that has it (`.txt`)."""

_SERVICE = "docker:index/service:Service::"
_Row = tuple[list[str], str, str]


def pages() -> dict[Path, str]:
    """Return what each file with generated parts has to contain."""
    schema = stack_file({key: text for keys, _, text in reference() for key in keys})
    sections = json.loads((ROOT / "docs/bench.json").read_text())["sections"]
    smallest, largest = (json.loads(file.read_text()) for file in RECORDS)
    return {
        ROOT / "docs/pulumi-stack.schema.json": json.dumps(schema, indent=1, ensure_ascii=False)
        + "\n",
        ROOT / "README.md": _between(ROOT / "README.md", "picture", picture(smallest, largest)),
        ROOT / "docs/performance.md": _between(
            ROOT / "docs/performance.md", "figures", figures_table(sections)
        ),
        **{
            ROOT / f"docs/{name}.svg": terminal_picture(
                command, (ROOT / f"docs/{name}.txt").read_text()
            )
            for name, command in SCREENS.items()
        },
    }


def reference() -> Iterator[_Row]:
    """Yield the rows of the settings' reference: full keys, default, description."""
    for line in REFERENCE.read_text().splitlines():
        if line.startswith("| `"):
            keys, default, text = line.strip("| ").split(" | ", 2)
            yield [full_key(key) for key in re.findall(r"`([^`]+)`", keys)], default, text


def _between(file: Path, name: str, text: str) -> str:
    """Return the file with `text` between its comments that begin with `name` and its end."""
    pattern = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    new, count = pattern.subn(lambda match: f"{match[1]}{text}{match[2]}", file.read_text())
    if count != 1:
        raise ValueError(f"{file} has {count} places for its {name}")
    return new


def figures_table(sections: Sequence[Mapping[str, Any]]) -> str:
    """Return the benchmark's figures as a Markdown table, and when each section was measured."""
    rows = ["| what | here | beside it | ratio | mark |", "|---|---|---|---|---|"]
    for figure in (figure for section in sections for figure in section["figures"]):
        mine, peer = (_median(figure[name], figure["unit"]) for name in ("ours", "peer"))
        ratio = f"{figure['value']:.2f}" if figure["peer"] else ""
        rows.append(f"| {figure['title']} | {mine} | {peer} | {ratio} | {_mark(figure)} |")
    dates: dict[str, list[str]] = {}
    for section in sections:
        dates.setdefault(section["date"], []).append(f"`{section['name']}`")
    measured = (f"on {day} {', '.join(names)}" for day, names in dates.items())
    return "\n".join([*rows, "", f"Measured {'; '.join(measured)}."]) + "\n"


def _median(values: Sequence[float], unit: str) -> str:
    if not values:
        return ""
    value = statistics.median(values)
    digits = 0 if value >= 100 or value == int(value) else 1
    return f"{value:.{digits}f} {unit}".strip()


def _mark(figure: Mapping[str, Any]) -> str:
    if figure["target"] is None:
        return ""
    bound = "at most" if figure["better"] == "less" else "at least"
    missed = "" if figure["met"] else ", missed"
    return f"{bound} {figure['target']:g}{missed}"


def picture(smallest: Mapping[str, Any], largest: Mapping[str, Any]) -> str:
    """Return a Mermaid diagram of the services that a record declares, who asks whom, and data.

    What the `largest` has and the `smallest` hasn't is dashed: it takes a setting.
    """
    services, always = _services(largest), _services(smallest)
    ports = " and ".join(_ports(services["proxy"]))
    lines = [f'  clients(["docker, containerd, browsers"]) -- "ports {ports}" --> proxy']
    for name, service in services.items():
        container = service["taskSpec"]["containerSpec"]
        image = container["image"].partition("@")[0]
        lines.append(f'  {_id(name)}["{name}<br>{image}"]{"" if name in always else ":::optional"}')
        lines += [f"  {_id(name)} --- {_data(each)}" for each in container.get("mounts", [])]
        if name != "proxy":
            lines += [f"  {_id(each)} --> {_id(name)}" for each in _clients(services, name)]
    lines.append("  classDef optional stroke-dasharray: 5 5")
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```"]) + "\n"


def _services(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the inputs of all services by name, without the stack's."""
    inputs = [each["inputs"] for urn, each in record["resources"].items() if _SERVICE in urn]
    return {each["name"].partition("_")[2]: each for each in inputs}


def _clients(services: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    """Return who asks a service: Traefik where it has a router, else who shares its network."""
    if any(each["label"].endswith(".rule") for each in services[name].get("labels", [])):
        return ["proxy"]
    networks = _networks(services[name])
    return [each for each in services if each != name and networks & _networks(services[each])]


def _data(mount: Mapping[str, Any]) -> str:
    source = mount["source"].rpartition("_")[2]
    is_volume = mount["type"] == "volume"
    return f'{_id(source)}[("volume {source}")]' if is_volume else f'{_id(source)}["{source}"]'


def _ports(service: Mapping[str, Any]) -> list[str]:
    return [
        f"{port['publishedPort']:.0f}" for port in service.get("endpointSpec", {}).get("ports", [])
    ]


def _networks(service: Mapping[str, Any]) -> set[str]:
    return {each["id"] for each in service["taskSpec"].get("networksAdvanceds", [])}


def _id(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_")


def write() -> None:
    """Write all of them."""
    for file, text in pages().items():
        write_whole(file, text, mode=0o644)
