"""What Swarm takes of what is made of the settings: lengths of names, sizes of contents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from components.credentials import HASH_LENGTH, CredentialsOptions
from components.distribution.config import ConfigOptions, Secrets, Wiring, document
from components.mirrors import service_of
from components.proxy import MAX_PROXY_SECRET
from components.retention import rules_text
from components.swarm.service import MAX_SERVICE_NAME, service_name
from components.swarm.stack import MAX_SECRET_BYTES
from components.token_server import server_config
from settings.reader import Reader
from settings.stack_file import path_of

if TYPE_CHECKING:
    from settings import Settings

MAX_ARGUMENT_BYTES = 128 * 1024 - 1
"""Linux starts no program with a longer argument."""
_ARGUMENTS = ("proxyConfig", "proxyEnvironment", "trustedProxies")
"""Settings that become arguments, each option one; they are held to it as a whole."""
ENTRY_BYTES = 160
"""Size of a password in a token server's file, its hash included, without the user's name."""
JWK_BYTES = 320
"""Size of a public key in the file that registries read, about."""
_GENERATED = "x" * 64
"""Stands for a secret that is generated later, and isn't longer."""


def check_limits(reader: Reader, settings: Settings) -> None:
    """Note which settings make a name or a content that Swarm wouldn't take.

    Else a deployment would end in the middle: much is known to Pulumi only after a preview.
    """
    _check_names(reader, settings)
    for key, size in _sizes(settings):
        if size > MAX_SECRET_BYTES:
            reason = f"makes a content of {size} bytes: Swarm takes {MAX_SECRET_BYTES} at the most."
            reader.problem(key, reason)
        elif key in _ARGUMENTS and size > MAX_ARGUMENT_BYTES:
            reason = f"has {size} bytes: a program takes {MAX_ARGUMENT_BYTES} in one argument."
            reader.problem(key, reason)


def _check_names(reader: Reader, settings: Settings) -> None:
    for mirror in settings.mirrors:
        name = service_name(settings.stack.name, service_of(mirror.name))
        if len(name) > MAX_SERVICE_NAME:
            reason = (
                f"would be service {name}, of {len(name)} characters: Swarm takes"
                f" {MAX_SERVICE_NAME}. Shorten its name, or registry:stackName."
            )
            reader.remove(f"mirrors.{mirror.name}", reason)
    for variable in settings.proxy.secrets if settings.proxy else ():
        if len(variable) > MAX_PROXY_SECRET:
            reason = (
                f"has {len(variable)} characters: its Swarm secret can have {MAX_PROXY_SECRET}."
            )
            reader.remove(f"proxySecrets.{variable}", reason)


def _sizes(settings: Settings) -> Iterator[tuple[str, int]]:
    """Yield the size of each content, in bytes, with the key that it is made of.

    Labels and flags are held to the same limit: Swarm takes 1.5 MiB for a whole service, of which
    it keeps the specification of before, too.
    """
    login = settings.login
    yield "users", _entries(login) if settings.token_server else _logins(login.users)
    if server := settings.token_server:
        drain_seconds = settings.registry.drain_seconds
        config = server_config(settings.stack.name, settings.routes.tokens, server, drain_seconds)
        yield "access", _size(json.dumps(config, indent=2))
        yield "signingKeys", JWK_BYTES * len(server.signing_keys)
    yield "trustedProxies", _size(",".join(settings.routing.trusted_proxies))
    yield "retention", _size(rules_text(settings.gc.retention)) if settings.gc else 0
    stores = settings.backup.location.files.values() if settings.backup else ()
    yield "backup.s3", sum(map(_size, stores))
    hashes = settings.hashed_passwords
    yield "hashedPasswords", sum(_size(user) + _size(text) + 2 for user, text in hashes.items())
    secrets = Secrets(http=_GENERATED, redis=_GENERATED)
    options = ConfigOptions(config=settings.registry.config)
    wiring = Wiring(https=True, redis=_GENERATED)
    yield "config", _size(json.dumps(document(options, secrets, wiring), indent=2))
    yield "storageCa", _size(settings.registry.ca or "")
    for mirror in settings.mirrors:
        ca_bundle = _size(mirror.ca or "") + _size(settings.registry.ca or "") + 1
        yield path_of("mirrors", mirror.name, "ca"), ca_bundle if mirror.ca else 0
        yield path_of("mirrors", mirror.name, "password"), _size(mirror.upstream.login())
        yield path_of("mirrors", mirror.name, "allow"), sum(map(len, mirror.allow))
    proxy = settings.proxy
    if proxy is None:
        return
    yield "dashboardUsers", _logins(settings.dashboard.users) if settings.dashboard else 0
    yield "proxyConfig", _size(json.dumps(proxy.config, indent=2))
    yield "proxyEnvironment", _size(json.dumps(dict(proxy.environment)))
    if proxy.acme:
        yield "acmeCa", _size(proxy.acme.ca or "")
    if proxy.certificate:
        yield "certificate", _size(proxy.certificate.chain)
    for variable, value in proxy.secrets.items():
        yield path_of("proxySecrets", variable), _size(value)


def _entries(login: CredentialsOptions) -> int:
    """Return the size of a token server's users, about."""
    names = [*login.users, *login.hashes, *login.former]
    names += [user for user, versions in login.versions.items() for _ in versions]
    return sum(_size(user) + ENTRY_BYTES for user in names)


def _logins(users: Sequence[str]) -> int:
    """Return the size of an htpasswd file."""
    return sum(_size(user) + len(":\n") + HASH_LENGTH for user in users)


def _size(text: str) -> int:
    return len(text.encode())
