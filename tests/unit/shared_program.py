"""Programs of all kinds, as settings for the whole program under mocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST: Mapping[str, Any] = {"stackName": "images-com", "domain": "images.example.com"}
SECRETS = (
    "registry:passwords",
    "registry:hashedPasswords",
    "registry:formerPasswords",
    "registry:passwordSeeds",
    "registry:proxySecrets",
    "registry:acmeEabHmac",
    "registry:pullLogins",
    "registry:mirrors",
    "registry:config",
    "registry:backup",
    "registry:certificateKey",
    "docker:keyMaterial",
)
BLOCK = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
APR1 = "$apr1$8sdhfjsd$Mb6IbAMxSMVRIsDe0lS.j/"
HMAC = "YSBrZXkgb2YgMjU2IGJpdHMsIHdoaWNoIGlzIHRoZSBsZWFzdA"
ACME_SERVER = "https://ca.example.com/directory"
# The address of a store that nobody asks: there is no port of that number.
S3 = {"bucket": "b", "region": "r", "regionendpoint": "s3.example.invalid:99999"}
KEYS = {"accesskey": "key", "secretkey": "secret"}
HUB = {"upstream": "https://registry-1.docker.io", "domain": "hub.example.com"}


MAIN: Mapping[str, Any] = {**FIRST, "proxy": "main"}
ACME = {**MAIN, "acmeServer": ACME_SERVER, "acmeCa": BLOCK, "acmeEabKid": "k"}
EXTERNAL_ACCOUNT = {**ACME, "acmeEabHmac": HMAC}
DASHBOARD = {**MAIN, "dashboardDomain": "traefik.example.com"}
SOCKET = {**MAIN, "proxySocket": "proxy"}
STORE: Mapping[str, Any] = {**FIRST, "config": {"storage": {"s3": {**S3, **KEYS}}}}
REDIS = {**STORE, "cache": "redis"}
MIRRORS = {**FIRST, "mirrors": {"hub": HUB}}
TOKEN: Mapping[str, Any] = {**FIRST, "auth": "token", "toolsImage": "ghcr.io/acme/tools:1"}
