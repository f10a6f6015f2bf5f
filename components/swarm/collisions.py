"""Names and hosts in Traefik that another stack's service has already.

Traefik serves nothing under a router, service or middleware that two services define in different
ways, and splits the requests for one host between all routers that match it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from components.swarm.inspect import RunningService

Labels = Mapping[str, str]
Parts = Mapping[tuple[str, str], Labels]
"""Options by kind (`routers`, `services`, `middlewares`) and name."""

_PART = re.compile(r"traefik\.(?:http|tcp|udp)\.(routers|services|middlewares)\.([^.]+)\.(.+)")
_HOST = re.compile(r"\bHost\(([^)]*)\)", re.IGNORECASE)
_ONLY_HOSTS = re.compile(r"\s*Host\([^)]*\)(\s*\|\|\s*Host\([^)]*\))*\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Collision:
    """Something of ours that another stack's service has too."""

    kind: str
    """`routers`, `services`, `middlewares` or `host`."""
    name: str
    service: RunningService = field(compare=False)
    rule: str = ""
    """The other's, for a host."""
    certain: bool = field(default=True, compare=False)
    """Requests go astray; otherwise further conditions in a rule may keep the two apart."""


def collisions(
    labels: Labels, constraint: tuple[str, str], others: Iterable[RunningService]
) -> Iterator[Collision]:
    """Yield what of a service with `labels` the `others` have too.

    Only services that have the label `constraint` are seen by the same Traefik.
    """
    parts = _parts(labels)
    hosts: dict[str, frozenset[str]] = {}
    rules: set[str] = set()
    whole: set[str] = set()
    for points, rule, names in _routers(parts):
        hosts |= {host: hosts.get(host, frozenset()) | points for host in names}
        rules.add(rule)
        whole |= names if _ONLY_HOSTS.fullmatch(rule) else set()
    for other in others:
        key, value = constraint
        if other.labels.get(key) != value or other.labels.get("traefik.enable") == "false":
            continue
        theirs = _parts(other.labels)
        for kind, name in sorted(parts.keys() & theirs.keys()):
            # Traefik takes the same twice for one, but a service then has both's tasks.
            if kind == "services" or parts[kind, name] != theirs[kind, name]:
                yield Collision(kind=kind, name=name, service=other)
        for points, rule, names in _routers(theirs):
            for host in sorted(names & hosts.keys()):
                if not points or not hosts[host] or points & hosts[host]:
                    both_whole = host in whole and _ONLY_HOSTS.fullmatch(rule) is not None
                    certain = both_whole or rule in rules
                    yield Collision(
                        kind="host", name=host, service=other, rule=rule, certain=certain
                    )


def _parts(labels: Labels) -> Parts:
    """Return the parts that labels define; Traefik takes labels in any case, values as they are."""
    parts: dict[tuple[str, str], dict[str, str]] = {}
    for label, value in labels.items():
        if match := _PART.fullmatch(label.lower()):
            kind, name, option = match.groups()
            parts.setdefault((kind, name), {})[option] = value
    return parts


def _routers(parts: Parts) -> Iterator[tuple[frozenset[str], str, frozenset[str]]]:
    """Yield entry points (none: all of them), rule and hosts of each router."""
    for (kind, _), options in parts.items():
        rule = options.get("rule", "")
        if kind == "routers" and rule:
            points = re.split(r"[,\s]+", options.get("entrypoints", "").strip().lower())
            hosts = re.findall(r"`([^`]+)`", " ".join(_HOST.findall(rule)))
            yield (
                frozenset(filter(None, points)),
                rule,
                frozenset(host.lower() for host in hosts),
            )
