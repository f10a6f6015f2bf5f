"""Settings that tests change, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from settings import Settings, parse
from testing.certificates import CertificatePair

from .program import raw

GOOD: Mapping[str, Any] = {"stackName": "registry-com", "domain": "registry.example.com"}
SECRET = "hunter2-but-longer"
APR1 = "$apr1$8sdhfjsd$Mb6IbAMxSMVRIsDe0lS.j/"
OWN_PAIR = CertificatePair.make("registry.example.com", "*.apps.example.com")
ISSUER = CertificatePair.make()
BROKEN = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
S3 = {"bucket": "b", "region": "eu-central-1"}
MIRROR = {"upstream": "https://registry-1.docker.io", "domain": "mirror.example.com"}
PULL = {"username": "me", "password": SECRET}
PRIVATE = MIRROR | {"username": "me", "password": SECRET}
HMAC = "YSBrZXkgb2YgMjU2IGJpdHMsIHdoaWNoIGlzIHRoZSBsZWFzdA"
CA = "https://ca.example.com/directory"
EXTERNAL: dict[str, Any] = {"https": "external", "trustedProxies": ["10.0.0.5"]}
BROKEN_KEY = BROKEN.replace("CERTIFICATE", "PRIVATE KEY")


SECRETS = (
    "registry:passwords",
    "registry:hashedPasswords",
    "registry:proxySecrets",
    "registry:acmeEabHmac",
    "registry:pullLogins",
)


def settings(secrets: tuple[str, ...] = SECRETS, **values: Any) -> Settings:
    return parse(raw({**GOOD, **values}), lambda key: key in secrets, "prod")


def mirror(**changes: Any) -> Settings:
    mirrors = {"hub": PRIVATE | changes}
    return settings((*SECRETS, "registry:mirrors"), mirrors=mirrors)
