"""Checks of a certificate that a user brings, before anything is deployed with it."""

from __future__ import annotations

import base64
import ipaddress
from datetime import datetime, timedelta, timezone

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtensionOID

from components.run.deployed import Deployed
from components.swarm.stack import SECRET_TYPE

CERTIFICATE_SECRET = "proxy-certificate"  # noqa: S105 - of a name
"""End of the name, in Pulumi, of the secret with a deployed certificate."""
SOON = timedelta(days=14)
"""So long before its end a certificate is worth a warning."""


def is_address(text: str) -> bool:
    """Return whether `text` is an IP address, for which clients send no name in TLS (SNI)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def wrong_with(chain: str, domains: list[str], now: datetime) -> list[str]:
    """Return what makes the PEM `chain` useless for `domains`, each as the rest of a sentence."""
    try:
        certificate = x509.load_pem_x509_certificates(chain.encode())[0]
    except ValueError:
        return ["isn't a certificate that can be read."]
    problems = []
    begin = certificate.not_valid_before_utc
    if begin > now:
        problems.append(f"isn't valid before {begin:%Y-%m-%d %H:%M} UTC.")
    names = _names(certificate)
    for domain in domains:
        if not any(_covers(name, domain) for name in names):
            listed = ", ".join(names) or "no host name"
            problems.append(f"is for {listed}, and not for {domain}.")
    return problems


def ends_soon(chain: str, now: datetime | None = None) -> str | None:
    """Return a warning about a certificate that isn't good for long, or not any more.

    No error: one that has expired while it was deployed must not keep another change from being
    deployed. A new one is refused by `refuse_expired`.
    """
    end = x509.load_pem_x509_certificates(chain.encode())[0].not_valid_after_utc
    left = end - (now or datetime.now(timezone.utc))
    if left <= timedelta(0):
        return (
            f"The certificate has expired on {end:%Y-%m-%d %H:%M} UTC: clients refuse it. Renew it."
        )
    return f"The certificate ends on {end:%Y-%m-%d}: renew it soon." if left <= SOON else None


def refuse_expired(chain: str, deployed: Deployed, now: datetime | None = None) -> None:
    """Raise `RunError` when a certificate has expired, unless it is the deployed one already."""
    certificate = x509.load_pem_x509_certificates(chain.encode())[0]
    end = certificate.not_valid_after_utc
    if end > (now or datetime.now(timezone.utc)) or certificate == _deployed(deployed):
        return
    raise pulumi.RunError(
        f"registry:certificate has expired on {end:%Y-%m-%d %H:%M} UTC, and isn't the one that is"
        " deployed: all clients would refuse it. Take one that is valid:\n"
        "      pulumi config set registry:certificate certificates/chain.pem"
    )


def _deployed(deployed: Deployed) -> x509.Certificate | None:
    """Return the certificate of the last deployment; None when it had none."""
    for (type_, name), outputs in deployed.outputs.items():
        if type_ == SECRET_TYPE and name.endswith(CERTIFICATE_SECRET):
            try:
                text = base64.b64decode(str(outputs.get("data")))
                return x509.load_pem_x509_certificates(text)[0]
            except ValueError:
                return None
    return None


def wrong_with_key(chain: str, key: str) -> str | None:
    """Return what keeps the PEM `key` from going with `chain`; never a part of it."""
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return "is encrypted: Traefik has nobody to ask for the password."
    except ValueError:
        return "isn't a private key that can be read."
    try:
        certificate = x509.load_pem_x509_certificates(chain.encode())[0]
    except ValueError:
        return None  # Reported already.
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*spki) == certificate.public_key().public_bytes(*spki):
        return None
    return "isn't the key of registry:certificate: bring the pair that belongs together."


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        ).value
    except x509.ExtensionNotFound:
        return []
    if not isinstance(extension, x509.SubjectAlternativeName):
        return []
    names = [name.lower() for name in extension.get_values_for_type(x509.DNSName)]
    # Clients compare an address with these alone, and never with a name that looks like one.
    names = [name for name in names if not is_address(name)]
    return names + [str(address) for address in extension.get_values_for_type(x509.IPAddress)]


def _covers(name: str, domain: str) -> bool:
    """Return whether a name is for `domain`: a star is one whole label, the first (RFC 6125)."""
    if name.startswith("*."):
        return domain.partition(".")[2] == name[2:]
    return name == domain
