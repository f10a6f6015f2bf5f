"""Checks `registry:proxyConfig`: what Traefik takes, and what would break the deployment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.traefik.flags import STORAGE_PATH, flattened, owned_options_in
from settings import schema
from settings.networks import NETWORK, admit_everybody
from settings.reader import Reader, close_to
from settings.schema import Program
from settings.stack_file import Step, path_of

SCHEMA_FILE = Path(__file__).parent / "traefik_schema.json"
DNS_PROVIDERS_FILE = Path(__file__).parent / "traefik_dns_providers.txt"
KEY = "proxyConfig"
OWN_SECTIONS = ("providers", "api", "ping", "configfile")
"""Options that are this program's alone, and so not in the schema."""
_ADDRESS = re.compile(r"(127\.0\.0\.1|0\.0\.0\.0|localhost|\[::1?\])?:([0-9]{1,5})(/(tcp|udp))?")
"""Ports that a container can listen on, whatever its address."""
_CLAIMS = re.compile(r"entrypoints\.[^.]+\.(forwardedheaders|proxyprotocol)\.(insecure|trustedips)")
_STORAGE = re.compile(rf"{STORAGE_PATH}/[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def check_options(
    reader: Reader,
    config: Mapping[str, Any],
    *,
    entry_points: Mapping[str, int],
    resolver: str | None,
    is_known_version: bool = True,
) -> Mapping[str, Any]:
    """Return `config` as Traefik takes it; note in `reader` what it wouldn't start with.

    `entry_points` are the program's own, with their ports, and `resolver` is its ACME resolver, if
    it has one.
    """
    before = len(reader.problems)
    owned = owned_options_in(config)
    reader.owned(KEY, (_written(config, path) for path in owned))
    program = Program(
        key=KEY,
        name="Traefik",
        schema=json.loads(SCHEMA_FILE.read_text()),
        is_checked=lambda path: (
            not f"{path}.".lower().startswith(tuple(f"{each}." for each in owned))
        ),
        is_known_version=is_known_version,
        reads_flags=True,
    )
    config = schema.conform(reader, config, program)
    if len(reader.problems) == before:
        checks = _Options(reader, config)
        checks.entry_points(entry_points)
        checks.claims()
        checks.resolvers(resolver)
        checks.combinations()
    return config


def check_dns_provider(reader: Reader, challenge: str) -> None:
    """Note an ACME challenge over DNS whose provider Traefik hasn't got: it would start without."""
    name = challenge.removeprefix("dns:")
    known = DNS_PROVIDERS_FILE.read_text().split()
    if name != challenge and name not in known:
        reason = (
            f"is {challenge!r}, and Traefik knows no such DNS provider.{close_to(name, known)}"
            " The names are on https://doc.traefik.io/traefik/https/acme/#providers"
        )
        reader.problem("acmeChallenge", reason, "dns:cloudflare")


class _Options:
    """Options whose types are right, by their path as Traefik has it."""

    def __init__(self, reader: Reader, config: Mapping[str, Any]) -> None:
        self._reader, self._config = reader, config
        self._options = dict(flattened(config))

    def entry_points(self, ports: Mapping[str, int]) -> None:
        """Check the entry points: each needs an address, and a port that no other has."""
        used = {("tcp", port): name for name, port in ports.items()}
        names = sorted(self._names("entrypoints"))
        for name in names:
            path = f"entrypoints.{name}.address"
            address = self._options.get(path)
            if name in ports:
                if address is not None:
                    reason = f"can't be set: the port of {name} is published as it is."
                    self._remove(path, reason)
                continue
            match = _ADDRESS.fullmatch(address or "")
            if not match or not 1 <= int(match[2]) <= 65535:
                shown = "is missing" if address is None else f"is {address!r}"
                self._problem(path, f"{shown}: it must be :PORT, or :PORT/udp.", ":9000")
                continue
            protocols = {match[4] or "tcp"}
            if self._has(f"entrypoints.{name}.http3"):
                protocols.add("udp")
            for protocol in protocols:
                key = (protocol, int(match[2]))
                if key in used:
                    self._problem(path, f"is {address}, which {used[key]} has.", ":9000")
                used[key] = name
        known = {*names, *ports}
        for path, target in self._options.items():
            if (
                path.endswith(".http.redirections.entrypoint.to")
                and target.lower() not in known
                and not re.fullmatch(r":[0-9]{1,5}", target)
            ):
                reason = f"is {target!r}: it must be an entry point, {', '.join(sorted(known))}."
                self._problem(path, reason, sorted(ports)[0])

    def claims(self) -> None:
        """Nobody but proxies in front may say which address a request comes from."""
        instead = self._reader.command("set", "trustedProxies[0]", path=True)
        for path, text in self._options.items():
            if not _CLAIMS.fullmatch(path) or text == "false":
                continue
            if path.endswith(".insecure"):
                self._remove(
                    path,
                    "lets whoever asks say which address he has, and so past each allow list. Name"
                    f" the proxies in front instead:\n      {instead} 10.0.0.5\n  and take it out:",
                )
                continue
            written = f"{KEY}.{_written(self._config, path)}"
            networks = self._reader.list_at(written, text.split(","), NETWORK)
            if admit_everybody(networks):
                reason = "is everybody: whoever asks could then say which address he has."
                self._remove(path, reason)

    def resolvers(self, resolver: str | None) -> None:
        """Check that what a resolver obtains stays, in the volume that is there for it."""
        for name in sorted(self._names("certificatesresolvers")):
            prefix = f"certificatesresolvers.{name}"
            path = f"{prefix}.acme.storage"
            storage = self._options.get(path)
            if name == resolver and storage is not None:
                reason = "can't be set: certificates elsewhere would be lost with each task."
                self._remove(path, reason)
            if name == resolver or not self._names(f"{prefix}.acme"):
                continue
            if resolver is None:
                reason = "needs https acme: without it there is no volume for what it obtains."
                self._remove(prefix, reason)
            elif not _STORAGE.fullmatch(storage or ""):
                shown = "is missing" if storage is None else f"is {storage!r}"
                reason = f"{shown}: what it obtains stays in {STORAGE_PATH}/ alone."
                self._problem(path, reason, f"{STORAGE_PATH}/{name}.json")
        for name in self._names("certificatesresolvers"):
            path = f"certificatesresolvers.{name}.tailscale"
            is_acme = name == resolver or self._names(f"certificatesresolvers.{name}.acme")
            if path in self._options and is_acme:
                self._remove(path, "can't go with acme in one resolver.")

    def combinations(self) -> None:
        """Note values that Traefik ends at, though their types are right."""
        for path, text in self._options.items():
            tls = path.removesuffix(".insecure") + ".tls"
            if path.endswith(".otlp.grpc.insecure") and text == "true" and self._has(tls):
                self._remove(path, "is true, and there is tls beside it.")
            if path.endswith(".pushinterval") and not re.search(r"[1-9]", text):
                self._problem(path, f"is {text!r}: it must be more than 0.", "10s")
        syntax = self._options.get("core.defaultrulesyntax", "v3")
        if syntax not in ("v2", "v3"):
            self._problem("core.defaultrulesyntax", f"is {syntax!r}: it must be v3 or v2.", "v3")
        if not self._options.get("spiffe.workloadapiaddr"):
            for path in filter(
                self._has, ("serverstransport.spiffe", "tcpserverstransport.tls.spiffe")
            ):
                self._remove(path, "needs spiffe.workloadApiAddr: Traefik would serve nothing.")
        if self._options.get("experimental.otlplogs") != "true":
            command = self._reader.command("set", f"{KEY}.experimental.otlpLogs", path=True)
            for path in filter(self._has, ("log.otlp", "accesslog.otlp")):
                reason = f"needs an option that allows it:\n      {command} true\n  or take it out:"
                self._remove(path, reason)

    def _has(self, path: str) -> bool:
        """Return whether an option is there, switched on or described further."""
        return self._options.get(path, "false") != "false" or bool(self._names(path))

    def _names(self, path: str) -> set[str]:
        """Return what there is right below `path`."""
        prefix = f"{path}."
        return {
            each[len(prefix) :].partition(".")[0]
            for each in self._options
            if each.startswith(prefix)
        }

    def _problem(self, path: str, reason: str, example: str) -> None:
        self._reader.problem(f"{KEY}.{_written(self._config, path)}", reason, example, path=True)

    def _remove(self, path: str, reason: str) -> None:
        self._reader.remove(f"{KEY}.{_written(self._config, path)}", reason)


def _written(config: Mapping[str, Any], path: str) -> str:
    """Return the path of an option as the setting has it: `entryPoints.http` for `entrypoints…`."""
    return path_of(*_steps(config, path.split(".")))


def _steps(config: Any, names: list[str]) -> Iterator[Step]:
    for name in names:
        keys = {str(key).lower(): key for key in config} if isinstance(config, Mapping) else {}
        key = keys.get(name, name)
        config = config.get(key) if isinstance(config, Mapping) else None
        yield key
