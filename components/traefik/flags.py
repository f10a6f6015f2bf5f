"""Traefik's static configuration: flags, or a file where one of its options is a secret.

Option names and defaults: Traefik's reference documentation, v3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.traefik.dynamic import DYNAMIC_PATH

API_PORT = 8080
"""Traefik's own entry point for its API and dashboard without login, inside the task."""
PING_PORT = 8082
"""For the health check alone, inside the task."""
METRICS_PORT = 8083
"""Prometheus metrics, for services on the public network."""
HTTP_PORT = 80
HTTPS_PORT = 443
STORAGE_PATH = "/certificates"
FIRST_STORAGE = f"{STORAGE_PATH}/acme.json"
"""File in which a Traefik of an earlier version keeps all certificates in."""
CERT_RESOLVER = "le"
"""Name of the certificate resolver, as DockerSwarm.rocks has it."""
PUBLIC_NETWORK = "traefik-public"
"""Name of the network that Traefik shares with services, as DockerSwarm.rocks has it."""
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
"""The ACME directory that Traefik asks by itself."""
STATIC_PATH = "/run/secrets/traefik.yml"
"""The options, where one of them is a secret: Traefik reads either a file or flags."""
ACME_CA_PATH = "/etc/traefik/acme-ca.pem"
SOCKET = "unix:///var/run/docker.sock"

REFRESH_SECONDS = 5
"""Interval at which Traefik asks the engine for changes. It asks for the tasks of each service: on
a swarm with 400 of them, asking each second takes dockerd and Traefik 0.4 of a core."""
DISCOVERY_SECONDS = REFRESH_SECONDS + 5
"""Time until Traefik sends nothing more to a task that is about to end; 5 s are for
the engine's answer, and for applying it."""
REDIRECT_SECONDS = 60
"""Time limit of a request where plain HTTP only leads to HTTPS; Traefik's default."""
TRANSFER_SECONDS = 6 * 3600
"""Time limit of a request with its body elsewhere: 27 GB at 10 Mbit/s. Not without end, or
connections that send nothing would stay for good."""
DIAL_SECONDS = 1
"""Time for which Traefik tries to connect to a task, which takes milliseconds where there is one,
and seconds on a machine that is very busy; what comes of that is tried again. With its default,
30 s, a client would hang."""

QUERIES = "accesslog.fields.queryparameters.defaultmode"
"""Option for queries in the access log. `docker login` writes the user's name into one, and people
type passwords there."""

OWNED = ("providers", "ping", "entrypoints.ping", "entrypoints.metrics", "api")
"""Options that other parts of the deployment rely on: discovery, health check, metrics, login."""


@dataclass(frozen=True, kw_only=True)
class ExternalAccount:
    """An account at the CA that the ACME account is bound to (RFC 8555, 7.3.4)."""

    key_id: str
    hmac: str = field(repr=False)
    """The key that signs, base64url."""


@dataclass(frozen=True, kw_only=True)
class Acme:
    """An ACME certificate resolver."""

    resolver: str = CERT_RESOLVER
    """Name under which routers ask for it."""
    email: str | None = None
    """Address for the CA's letters."""
    directory: str | None = None
    """https:// address of the ACME directory. Default: Let's Encrypt's."""
    challenge: str = "tls"
    """`tls` (TLS-ALPN-01 on port 443), `http` (HTTP-01 on port 80) or `dns:PROVIDER` (DNS-01)."""
    ca: str | None = None
    """PEM roots that the directory's own certificate is checked against. Default: the system's."""
    account: ExternalAccount | None = None
    """None where the CA takes everybody."""
    storage: str = ""
    """File with the account and the certificates; empty for that of the directory."""

    @property
    def storage_file(self) -> str:
        """The file: each CA has its own, since Traefik would keep another's certificates."""
        return self.storage or storage_of(self.directory)


def storage_of(directory: str | None) -> str:
    """Return the file with what the CA with this ACME directory has issued."""
    address = (directory or LETS_ENCRYPT).partition("://")[2]
    return f"{STORAGE_PATH}/acme-{re.sub(r'[^A-Za-z0-9.]+', '-', address).strip('-')}.json"


def storage_in_use(acme: Acme, flags: Sequence[str]) -> str:
    """Return the file for `acme` where a Traefik with these `flags` runs.

    `FIRST_STORAGE` stays in use as long as the CA is the one whose certificates it has.
    """
    prefix = f"--certificatesresolvers.{acme.resolver}.acme"
    options = dict(flag.split("=", 1) for flag in flags if "=" in flag)
    same = options.get(f"{prefix}.caserver", LETS_ENCRYPT) == (acme.directory or LETS_ENCRYPT)
    if same and options.get(f"{prefix}.storage") == FIRST_STORAGE:
        return FIRST_STORAGE
    return storage_of(acme.directory)


def options(
    *,
    endpoint: str,
    network: str,
    constraint: tuple[str, str],
    entry_point: str,
    https_entry_point: str | None,
    acme: Acme | None,
    dashboard: bool,
    insecure_api: bool,
    metrics: bool,
    trusted_proxies: Sequence[str],
    config: Mapping[str, Any],
) -> dict[str, str]:
    """Return Traefik's options by path: the component's own, with `config` over them."""
    label, value = constraint
    flags: dict[str, str] = {
        "global.checknewversion": "false",
        "global.sendanonymoususage": "false",
        "log.level": "INFO",
        "log.nocolor": "true",
        # Request headers, and so credentials, stay out of it by default.
        "accesslog": "true",
        "providers.swarm": "true",
        "providers.swarm.endpoint": endpoint,
        "providers.swarm.exposedbydefault": "false",
        "providers.swarm.network": network,
        "providers.swarm.constraints": f"Label(`{label}`, `{value}`)",
        "providers.swarm.refreshseconds": f"{REFRESH_SECONDS}s",
        "providers.file.filename": DYNAMIC_PATH,
        # The default, 2 s, is how long a service that comes right after another may go unserved.
        "providers.providersthrottleduration": "500ms",
        "serverstransport.forwardingtimeouts.dialtimeout": f"{DIAL_SECONDS}s",
        **_entry_point(
            entry_point,
            HTTP_PORT,
            REDIRECT_SECONDS if https_entry_point else TRANSFER_SECONDS,
            trusted_proxies,
        ),
        "entrypoints.ping.address": f"127.0.0.1:{PING_PORT}",
        "ping.entrypoint": "ping",
    }
    if https_entry_point:
        flags |= _entry_point(https_entry_point, HTTPS_PORT, TRANSFER_SECONDS, trusted_proxies)
    if acme:
        flags |= _acme(acme, entry_point)
    if dashboard:
        flags["api"] = "true"
    if insecure_api:
        flags["api.insecure"] = "true"
    if metrics:
        flags |= {
            "entrypoints.metrics.address": f":{METRICS_PORT}",
            "metrics.prometheus": "true",
            "metrics.prometheus.entrypoint": "metrics",
        }
    return flags | dict(flattened(config))


def without_queries(options: Mapping[str, str]) -> dict[str, str]:
    """Return the options such that the access log has no queries, unless they say otherwise.

    Only for the version that the component is made for: others may end at what they don't know.
    """
    has_log = options["accesslog"] != "false"
    return {**options, QUERIES: options.get(QUERIES, "drop")} if has_log else dict(options)


def flags(options: Mapping[str, str]) -> list[str]:
    """Return the options as flags, one each."""
    return [f"--{path}={text}" for path, text in options.items()]


def file_content(options: Mapping[str, str]) -> dict[str, Any]:
    """Return the options as a configuration file has them: `a.b` is `b` in the map `a`."""
    tree: dict[str, Any] = {}
    for path, text in options.items():
        *parents, last = path.replace("[", ".[").split(".")
        branch = tree
        for parent in parents:
            below = branch.get(parent)
            if not isinstance(below, dict):
                # A flag may switch on what others describe further; in a file these alone do.
                below = branch[parent] = {}
            branch = below
        if not isinstance(branch.get(last), dict):
            branch[last] = text
    return {key: _with_lists(value) for key, value in tree.items()}


def _with_lists(branch: Any) -> Any:
    """Return the branch of a tree with a list for the maps of `[0]`, `[1]` and so on."""
    if not isinstance(branch, dict):
        return branch
    values = {key: _with_lists(value) for key, value in branch.items()}
    return list(values.values()) if all(key.startswith("[") for key in values) else values


def _entry_point(
    name: str, port: int, read_seconds: int, trusted_proxies: Sequence[str]
) -> dict[str, str]:
    flags = {
        f"entrypoints.{name}.address": f":{port}",
        # The default, 60 s, holds for a whole request body: it cuts off long pushes.
        f"entrypoints.{name}.transport.respondingtimeouts.readtimeout": f"{read_seconds}s",
    }
    if trusted_proxies:
        flags[f"entrypoints.{name}.forwardedheaders.trustedips"] = ",".join(trusted_proxies)
    return flags


def _acme(acme: Acme, entry_point: str) -> dict[str, str]:
    prefix = f"certificatesresolvers.{acme.resolver}.acme"
    flags = {f"{prefix}.storage": acme.storage_file}
    if acme.email:
        flags[f"{prefix}.email"] = acme.email
    if acme.directory:
        flags[f"{prefix}.caserver"] = acme.directory
    if acme.ca:
        flags[f"{prefix}.cacertificates"] = ACME_CA_PATH
    if acme.account:
        flags[f"{prefix}.eab.kid"] = acme.account.key_id
        flags[f"{prefix}.eab.hmacencoded"] = acme.account.hmac
    kind, _, provider = acme.challenge.partition(":")
    if kind == "dns":
        flags[f"{prefix}.dnschallenge.provider"] = provider
    elif kind == "http":
        flags[f"{prefix}.httpchallenge.entrypoint"] = entry_point
    else:
        flags[f"{prefix}.tlschallenge"] = "true"
    return flags


def flattened(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield options of Traefik's configuration file as flags: `a: {b: [1, 2]}` is `a.b=1,2`."""
    for key, value in config.items():
        path = f"{prefix}{key}".lower()
        if isinstance(value, Mapping):
            yield from flattened(value, f"{path}.") if value else [(path, "true")]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            maps = {f"{path}[{index}]": item for index, item in enumerate(value)}
            if any(isinstance(item, Mapping) for item in value):
                yield from flattened(maps)
            else:
                yield path, ",".join(map(_text, value))
        else:
            yield path, _text(value)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def owned_options_in(config: Mapping[str, Any]) -> list[str]:
    """Return the `OWNED` options that `config` tries to set."""
    paths = [path for path, _ in flattened(config)]
    return [each for each in OWNED if any(f"{path}.".startswith(f"{each}.") for path in paths)]
