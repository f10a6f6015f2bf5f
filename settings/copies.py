"""What the settings of one stack become in a copy for another: nothing that both would then use.

Which keys are one stack's alone is noted where they are read (`Reader.unshare`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.distribution.storage import ROOT_DIRECTORY, drivers_in, keeps_files
from settings.reader import Reader
from settings.stack import Settings, settings_of


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One difference between a stack's settings and the copy."""

    key: str
    """Full key, maybe with a path."""
    value: str | None
    """None: left out."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Parts of a copy."""

    edits: Sequence[Edit]
    hints: Sequence[str]
    """Notes for whoever makes it, or commands."""


def copy_for(values: Mapping[str, str], source: str, name: str, domain: str) -> Copy:
    """Return what a copy of stack `source` for a new stack `name` at `domain` differs in.

    `values` are the raw texts, by full key, that the source's own file has.
    """
    reader = Reader(values, lambda _: False, source)
    settings = settings_of(reader)
    edits = [
        Edit(key=f"registry:{key}", value=value, reason="")
        for key, value in {
            "stackName": renamed(settings.stack.name, source, name),
            "traefikTag": renamed(settings.routing.tag, source, name),
            "domain": domain,
        }.items()
    ]
    hints: list[str] = []
    for key in sorted(reader.unshared.keys() & values.keys()):
        edits.append(Edit(key=key, value=None, reason=reader.unshared[key]))
    if settings.volumes.options:
        options = {**settings.volumes.options, "device": "ANOTHER-FOLDER"}
        command = f"\n      pulumi config set --stack {name} --path registry:volumeOptions"
        commands = "".join(f"{command}.{key} '{value}'" for key, value in options.items())
        hints.append(
            f"the images of {name} will be in a volume of one node; for storage that every node"
            f" sees:{commands}"
        )
    edits += _network(reader, settings, source, name)
    edits += _storage(settings, name)
    if settings.routing.proxy_mode == "main" and not settings.engine.host:
        hints.append(
            f"{name} runs a main Traefik, for a swarm of its own; behind that of {source}, on the"
            f" same swarm, type:\n      pulumi config set --stack {name} registry:proxy none"
        )
    return Copy(edits=edits, hints=hints)


def _network(reader: Reader, settings: Settings, source: str, name: str) -> Iterator[Edit]:
    """Yield what keeps two stacks of one swarm from owning one network, or having one port."""
    if settings.routing.proxy_mode == "stack":
        network = renamed(settings.network.name, source, name)
        yield Edit(key="registry:network", value=network, reason="one that it owns")
        return
    joins = settings.routing.proxy_mode == "none"
    if settings.routing.proxy_mode == "main" and settings.engine.host:
        joins = True
        reason = f"the Traefik of {source} is there already, on the swarm at docker:host"
        yield Edit(key="registry:proxy", value="none", reason=reason)
        label = settings.routing.network_label
        yield Edit(key="registry:networkLabel", value=label, reason="which that one reads")
        counts = settings.token_server or settings.routing.rate_limit
        keys = ("proxyDashboardPort", "proxySecrets", *(() if counts else ("trustedProxies",)))
        for key in (*keys, "certificate", "certificateKey"):
            if reader.has(key):
                reason = "that Traefik's alone"
                yield Edit(key=reader.full_key(key), value=None, reason=reason)
    for key in ("createNetwork", "encryptNetwork") if joins else ():
        if reader.has(key):
            reason = f"the network is that of {source}"
            yield Edit(key=reader.full_key(key), value=None, reason=reason)


def _storage(settings: Settings, name: str) -> Iterator[Edit]:
    """Yield what keeps two stacks apart in one object store, and in one Redis."""
    config = settings.registry.config
    if not keeps_files(config):
        (driver,) = drivers_in(config)[:1]
        parameters = config["storage"][driver] or {}
        above = str(parameters.get(ROOT_DIRECTORY, "")).rpartition("/")[0]
        yield Edit(
            key=f"registry:config.storage.{driver}.{ROOT_DIRECTORY}",
            value=f"{above}/{name}",
            reason="a folder of its own in the object store",
        )
    if "redis" in config:
        reason = "a cache that both registries would write into"
        yield Edit(key="registry:config.redis", value=None, reason=reason)
        cache = (config.get("storage") or {}).get("cache") or {}
        if cache.get("blobdescriptor") == "redis":
            yield Edit(key="registry:config.storage.cache", value=None, reason=reason)


def renamed(text: str, source: str, name: str) -> str:
    """Return a name for another stack: `stag-registry-com` of `stag` as `preprod-registry-com`."""
    parts = re.split(r"([.-])", text)
    if source in parts:
        return "".join(name if word == source else word for word in parts)
    separator = "." if "." in text else "-"
    return f"{name}{separator}{text}"
