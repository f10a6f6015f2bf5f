"""Traefik's dynamic configuration that is independent of any task: a file.

Option names and defaults: Traefik's reference documentation, v3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DYNAMIC_PATH = "/etc/traefik/dynamic.yml"
CERTIFICATE_PATH = "/run/secrets/certificate.pem"
KEY_PATH = "/run/secrets/certificate-key.pem"
RETRY_AFTER_SECONDS = 5
"""Answer to clients who ask while no task runs."""
REGISTRY_PATH = "/v2/"
"""Below it is the API of every registry."""
REGISTRY_OPTIONS = "registry"
"""TLS options in `dynamic` for registries; a router names them with `@file`."""
BLOB_PROTOCOLS = ("http/1.1", "acme-tls/1")
"""HTTP/1.1, and what ACME's TLS challenge asks for; no HTTP/2. With that one connection carries all
layers of an image, in frames of 16 KiB within small windows: a quarter slower, or a third."""
CIPHERS = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
)
"""For TLS 1.2 (Mozilla's "Intermediate", without DHE, which Go has not); 1.3 has its own."""


def content(
    entry_point: str,
    https_entry_point: str | None,
    *,
    own_certificate: bool,
    registries_only: bool,
) -> dict[str, Any]:
    """Return the content of the file at `DYNAMIC_PATH`.

    It has what is independent of any task. With `own_certificate` it names the certificate that
    isn't Traefik's to obtain; with `registries_only` registries are all that is served.
    """
    if https_entry_point is None:
        # Traefik answers TLS on each entry point, with a makeshift certificate and 404. Docker
        # tries TLS first, and plain HTTP only where that fails.
        refused = {"options": {"default": {"sniStrict": True}}}
        return {"http": _unavailable({entry_point: {}}), "tls": refused}
    routers = _unavailable({entry_point: {}, https_entry_point: {"tls": {}}})
    return {"http": routers, "tls": _tls(own_certificate, registries_only)}


def _unavailable(entry_points: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return routers that answer 503 where no other router does; values are options of each.

    Traefik forgets a service, and its routers, while none of its tasks runs
    (`providers.swarm.allowEmptyServices` has no effect: traefik#12196). Clients would get 404,
    which docker takes for an image that doesn't exist.
    """
    name = "unavailable"
    router = {
        "rule": f"PathPrefix(`{REGISTRY_PATH}`)",
        # Lower than any that Traefik gives a router by itself: the length of its rule.
        "priority": 1,
        "middlewares": [name],
        "service": name,
    }
    return {
        "routers": {
            f"{name}-{entry_point}": router | {"entryPoints": [entry_point]} | dict(options)
            for entry_point, options in entry_points.items()
        },
        "middlewares": {
            name: {"headers": {"customResponseHeaders": {"Retry-After": str(RETRY_AFTER_SECONDS)}}}
        },
        "services": {name: {"loadBalancer": {"servers": []}}},
    }


def _tls(own_certificate: bool, registries_only: bool) -> dict[str, Any]:
    everybody = {"minVersion": "VersionTLS12", "cipherSuites": list(CIPHERS)}
    blobs = everybody | {"alpnProtocols": list(BLOB_PROTOCOLS)}
    # The default options hold for connections without SNI too. Traefik answers 421 to a request
    # whose router names other options than its connection began with.
    default = blobs if registries_only else everybody
    tls: dict[str, Any] = {"options": {"default": default, REGISTRY_OPTIONS: blobs}}
    if own_certificate:
        files = {"certFile": CERTIFICATE_PATH, "keyFile": KEY_PATH}
        tls["certificates"] = [files]
        tls["stores"] = {"default": {"defaultCertificate": files}}
    return tls
