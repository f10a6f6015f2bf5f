"""Certificates that are given, and keys of certificate authorities."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.run.deployed import Deployed
from components.swarm.stack import SECRET_TYPE
from settings import Settings
from settings.certificate import refuse_expired
from testing.certificates import CertificatePair

from .shared_settings import (
    BROKEN,
    BROKEN_KEY,
    GOOD,
    ISSUER,
    OWN_PAIR,
    settings,
)

ADDRESS = CertificatePair.make(address="10.0.0.5")


def with_certificate(
    chain: str = OWN_PAIR.chain, key: str = OWN_PAIR.key, **changes: Any
) -> Settings:
    return settings(
        ("registry:certificateKey",),
        **{"proxy": "main", "https": "own", "certificate": chain, "certificateKey": key, **changes},
    )


def test_a_certificate_of_ones_own_is_taken_as_text_or_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text(OWN_PAIR.chain)
    (tmp_path / "key.pem").write_text(OWN_PAIR.key)
    from_files = with_certificate(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem"))
    for each in (with_certificate(), from_files):
        assert each.proxy
        assert each.proxy.certificate
        assert (each.proxy.certificate.chain, each.proxy.certificate.key) == (
            OWN_PAIR.chain,
            OWN_PAIR.key,
        )
        assert each.proxy.acme is None
        assert each.routes.registry.https
        assert each.routes.registry.https.resolver is None
        assert OWN_PAIR.key not in repr(each)
        assert not each.warnings


def test_an_expired_certificate_is_a_warning_and_keeps_no_other_change_back() -> None:
    expired = CertificatePair.make("registry.example.com", days=-0.5)
    (warning,) = with_certificate(expired.chain, expired.key).warnings
    assert "has expired on" in warning


def deployed_with(chain: str) -> Deployed:
    data = base64.b64encode(chain.encode()).decode()
    return Deployed(outputs={(SECRET_TYPE, "registry-com-proxy-certificate"): {"data": data}})


def test_a_new_certificate_that_has_expired_is_refused() -> None:
    expired = CertificatePair.make("registry.example.com", days=-0.5).chain
    other = CertificatePair.make("registry.example.com", days=-0.5).chain
    refuse_expired(expired, deployed_with(expired + "\n"))
    refuse_expired(OWN_PAIR.chain, Deployed())
    broken = Deployed(outputs={(SECRET_TYPE, "proxy-certificate"): {"data": "é"}})
    for deployed in (Deployed(), deployed_with(other), broken):
        with pytest.raises(pulumi.RunError, match="pulumi config set registry:certificate"):
            refuse_expired(expired, deployed)


@pytest.mark.parametrize(
    ("key", "says", "pair", "domain"),
    [
        (
            "certificate",
            "isn't valid before",
            CertificatePair.make("registry.example.com", since_days=-1),
            None,
        ),
        ("certificate", "is for registry.example.com, *.apps", OWN_PAIR, "other.example.com"),
        ("certificate", "and not for a.b.apps.example.com", OWN_PAIR, "a.b.apps.example.com"),
        ("certificate", "no host name, and not for", ISSUER, None),
        ("certificate", "is for 10.0.0.5, and not for 10.0.0.6", ADDRESS, "10.0.0.6"),
        ("certificate", "and not for 10.0.0.5", CertificatePair.make("10.0.0.5"), "10.0.0.5"),
        (
            "certificate",
            "can't be read|that can be read",
            CertificatePair(BROKEN, OWN_PAIR.key),
            None,
        ),
        ("certificateKey", "isn't the key of", CertificatePair(OWN_PAIR.chain, ISSUER.key), None),
        ("certificateKey", "that can be read", CertificatePair(OWN_PAIR.chain, BROKEN_KEY), None),
    ],
)
def test_a_certificate_that_would_not_do_is_refused_beforehand(
    key: str, says: str, pair: CertificatePair, domain: str | None
) -> None:
    with pytest.raises(pulumi.RunError) as error:
        with_certificate(pair.chain, pair.key, domain=domain or GOOD["domain"])
    assert f"registry:{key} " in str(error.value)
    assert any(part in str(error.value) for part in says.split("|"))
    assert pair.key.splitlines()[1] not in str(error.value)


def test_a_star_stands_for_one_label_and_a_near_end_is_a_warning() -> None:
    soon = CertificatePair.make("*.example.com", days=5)
    assert "renew it soon" in with_certificate(soon.chain, soon.key).warnings[0]
    with_certificate(domain="x.apps.example.com")


def test_an_address_may_be_the_name_with_a_certificate_for_it() -> None:
    for proxy in ("main", "stack"):
        with_one = with_certificate(ADDRESS.chain, ADDRESS.key, domain="10.0.0.5", proxy=proxy)
        assert with_one.routes.url == "https://10.0.0.5"
        # Clients send no name in TLS then, and get Traefik's default options.
        assert with_one.routes.registry.https
        assert with_one.routes.registry.https.options is None
    assert settings(domain="10.0.0.5", proxy="stack").routes.url == "http://10.0.0.5"
