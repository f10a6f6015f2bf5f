"""`docker:…` and `registry:pullLogins`: the engine that is deployed to, and what it pulls with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.swarm.endpoint import Tls
from components.swarm.pull_login import PullLogin
from settings import rules
from settings.pull_logins import parse_pull_logins
from settings.reader import Reader


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The engine of a manager."""

    host: str | None
    """`docker:host`. Default: `DOCKER_HOST`, else the current docker context."""
    tls: Tls | None
    """`docker:caMaterial`, `docker:certMaterial`, `docker:keyMaterial`."""
    pull_logins: Mapping[str, PullLogin] = field(default_factory=dict, repr=False)
    """Logins with which private images are pulled, by host of their registry."""


def parse_engine(reader: Reader) -> EngineSettings:
    """Return all of the engine's settings; note in `reader` what is wrong with them."""
    return EngineSettings(
        host=reader.get("docker:host", rules.HOST),
        tls=engine_tls(reader),
        pull_logins=parse_pull_logins(reader),
    )


def parse_endpoint(reader: Reader) -> EngineSettings:
    """Return where the engine is and how it is talked to, and no more."""
    return EngineSettings(host=reader.get("docker:host", rules.HOST), tls=engine_tls(reader))


def engine_tls(reader: Reader) -> Tls | None:
    """Return what an engine behind TLS is talked to with; None when nothing is configured."""
    keys = ("docker:caMaterial", "docker:certMaterial", "docker:keyMaterial")
    kinds = ("CERTIFICATE", "CERTIFICATE", "PRIVATE KEY")
    texts = [reader.pem(key, kind) for key, kind in zip(keys, kinds, strict=True)]
    reader.secret_text(keys[2])
    given = [key for key in keys if reader.has(key)]
    for missing in (name for name in keys if given and name not in given):
        reason = f"is missing: {' and '.join(given)} {'are' if len(given) > 1 else 'is'} there."
        reader.problem(missing, f"{reason}\n      {reader.command('set', missing)} < FILE")
    ca, certificate, key = texts
    if ca is None or certificate is None or key is None:
        return None
    return Tls(ca=ca, certificate=certificate, key=key)
