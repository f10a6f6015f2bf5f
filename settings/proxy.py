"""Settings of a stack's own Traefik, and of how HTTPS comes about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, cast

from components.proxy import Certificate
from components.socket_proxy import SOCKET_PATH
from components.swarm.location import CERTIFICATES
from components.traefik.flags import (
    HTTP_PORT,
    HTTPS_PORT,
    METRICS_PORT,
    PING_PORT,
    UI_PORT,
    Acme,
    ExternalAccount,
)
from settings import rules
from settings.certificate import ends_soon, wrong_with, wrong_with_key
from settings.proxy_schema import check_dns_provider, check_options
from settings.reader import Reader, admit_everybody
from settings.schema import is_version_of
from settings.volume import VolumeSettings, parse_volume

TRAEFIK_IMAGE = "traefik:v3.7.15"
"""The version that `images/` builds where Docker Hub can't be reached."""

HAPROXY_IMAGE = "haproxy:3.2-alpine"
"""Official, long-term support."""

HttpsMode = Literal["acme", "own", "external", "none"]
HTTPS_MODES: tuple[HttpsMode, ...] = ("acme", "own", "external", "none")
OF_TRAEFIK: tuple[HttpsMode, ...] = ("acme", "own")
"""Those in which Traefik itself serves HTTPS."""
ProxyMode = Literal["none", "stack", "main"]


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """What a stack's own Traefik is told."""

    image: str
    http_port: int
    """Port on the proxy's node, host mode. Default 80."""
    https_port: int
    """Port on the proxy's node, host mode; with `https` external that of the proxy in front.
    Default 443."""
    trusted_proxies: tuple[str, ...]
    """Addresses and networks of proxies in front, whose `X-Forwarded-…` headers hold."""
    ui_port: int | None
    """Port of Traefik's UI, without login, for development. Default: no UI."""
    mode: Literal["replicated", "global"]
    """One task, or one on every manager. Default `replicated`."""
    acme: Acme | None
    certificate: Certificate | None
    dashboard_domain: str | None
    """Host name of Traefik's dashboard. Default: no dashboard."""
    dashboard_users: tuple[str, ...]
    """Who may see it, with generated passwords. Default `admin`."""
    certificates: VolumeSettings
    """Where what ACME obtains is kept, on a manager. Default `<stack_name>_certificates`."""
    socket_proxy: bool
    """`registry:proxySocket`. `mount`: Traefik has Docker's socket, read-only. `proxy`: it asks
    HAProxy, which lets little pass. Default `mount`."""
    socket_proxy_image: str
    socket_path: str
    """`registry:proxySocketPath`: Docker's socket on the managers."""
    metrics: bool
    """Prometheus metrics on the public network, port 8083. Default false."""
    memory_mib: int
    """Hard memory limit of a task, MiB. Default 512."""
    config: Mapping[str, Any]
    """Any option of Traefik's static configuration."""
    secrets: Mapping[str, str] = field(repr=False)
    """Environment variables whose values Traefik reads from files, such as a DNS API's token."""
    environment: Mapping[str, str]
    """Environment variables that everybody may see."""


def parse_proxy(
    reader: Reader,
    stack_name: str,
    domains: Sequence[str],
    https: HttpsMode,
    resolver: str,
    entry_points: tuple[str, str],
    proxy: ProxyMode,
) -> ProxySettings:
    """The keys of the stack's own Traefik; notes in `reader` what is wrong with them.

    `domains` are those that it serves, the registry's first; `entry_points` are the names of those
    for plain HTTP and for HTTPS. Where `proxy` is none there is no such
    Traefik: shared settings may speak of one, but what asks for it is wrong.
    """
    joins = proxy == "none"
    if joins:
        _refuse_without_proxy(reader)
    http_port = reader.number("proxyHttpPort", 1, 65535, 80)
    https_port = reader.number("proxyHttpsPort", 1, 65535, 443)
    ui_port = reader.number("proxyUiPort", 0, 65535, 0)
    if ui_port == http_port:
        reader.problem("proxyUiPort", f"is {ui_port}, as is proxyHttpPort.", "8090")
    if ui_port and proxy == "main":
        what = "opens Traefik's API, with the hashes of all logins, to everybody; dashboardDomain"
        reader.remove("proxyUiPort", f"{what} has a login.")
    if https in OF_TRAEFIK and https_port == http_port:
        reader.problem("proxyHttpsPort", f"is {https_port}, as is proxyHttpPort.", "443")
    dashboard_domain = reader.optional("dashboardDomain", rules.DOMAIN)
    reader.unshare("dashboardDomain", "a host name that leads to one dashboard")
    if dashboard_domain and https == "none":
        reader.remove("dashboardDomain", "needs HTTPS: a login mustn't travel in plain text.")
    if dashboard_domain in domains:
        what = "is the registry's own, or a mirror's."
        reader.problem("dashboardDomain", what, f"traefik.{domains[0]}")
    mode = cast(
        Literal["replicated", "global"],
        reader.choice("proxyMode", ("replicated", "global"), "replicated"),
    )
    if mode == "global" and https == "acme":
        reader.problem(
            "proxyMode",
            "is global, and https is acme: Traefik's file of certificates can't be shared, so each"
            " would order its own and answer the challenges of others. Bring a certificate"
            " (https own), or keep one Traefik.",
            "replicated",
        )
    metrics = reader.boolean("proxyMetrics", False)
    own = _entry_points(reader, entry_points, https, joins)
    image = reader.text("proxyImage", rules.IMAGE, TRAEFIK_IMAGE)
    config = reader.mapping("proxyConfig", "…")
    is_known_version = is_version_of(image, TRAEFIK_IMAGE)
    if not joins:
        own_resolver = resolver if https == "acme" else None
        config = check_options(
            reader,
            config,
            entry_points=own,
            resolver=own_resolver,
            is_known_version=is_known_version,
        )
    secrets = reader.texts("proxySecrets", rules.VARIABLE, "…")
    for name in secrets:
        reader.secret("proxySecrets", name)
    for key in ("proxyConfig", "proxyEnvironment"):
        reader.open(key, "Traefik's flags and variables are for all to see; see proxySecrets")
    domains = [*domains, *([dashboard_domain] if dashboard_domain else [])]
    return ProxySettings(
        image=image,
        http_port=http_port,
        https_port=https_port,
        ui_port=ui_port or None,
        mode=mode,
        trusted_proxies=_trusted_proxies(reader, https, joins),
        acme=_acme(reader, https, resolver, is_known_version=is_known_version),
        certificate=None if joins else _certificate(reader, https, domains),
        dashboard_domain=dashboard_domain,
        dashboard_users=reader.names("dashboardUsers", rules.USER, ("admin",)),
        certificates=parse_volume(reader, CERTIFICATES, f"{stack_name}_certificates"),
        socket_proxy=reader.choice("proxySocket", ("mount", "proxy"), "mount") == "proxy",
        socket_proxy_image=reader.text("socketProxyImage", rules.IMAGE, HAPROXY_IMAGE),
        socket_path=reader.text("proxySocketPath", rules.SOCKET_PATH, SOCKET_PATH),
        metrics=metrics,
        memory_mib=reader.mebibytes("proxyMemory", 64, 512),
        config=config,
        secrets=secrets,
        environment=reader.texts("proxyEnvironment", rules.VARIABLE, "…"),
    )


def _entry_points(
    reader: Reader, names: tuple[str, str], https: HttpsMode, joins: bool
) -> dict[str, int]:
    """Return the ports of all entry points that aren't from `proxyConfig`, by name."""
    own = {"ping": PING_PORT, "metrics": METRICS_PORT, "traefik": UI_PORT}
    keys = {"entryPoint": HTTP_PORT} | (
        {"httpsEntryPoint": HTTPS_PORT} if https in OF_TRAEFIK else {}
    )
    for (key, port), name in zip(keys.items(), names, strict=False):
        if name in own and not joins:
            what = f"is {name!r}, as is another of Traefik's entry points."
            reader.problem(key, what, "http" if key == "entryPoint" else "https")
        own[name] = port
    return own


def _refuse_without_proxy(reader: Reader) -> None:
    for key in (
        "proxyUiPort",
        "dashboardDomain",
        "trustedProxies",
        "certificate",
        "certificateKey",
    ):
        if reader.has(key):
            reader.remove(key, "needs a proxy of this stack (registry:proxy main or stack).")


def _trusted_proxies(reader: Reader, https: HttpsMode, joins: bool) -> tuple[str, ...]:
    items = reader.items("trustedProxies", "10.0.0.5")
    if items is None:
        if https == "external" and not joins:
            what = (
                "is missing: https external needs the address of the proxy that TLS ends at, or"
                " clients would be sent on to http://."
            )
            reader.problem("trustedProxies[0]", what, "10.0.0.5", path=True)
        return ()
    proxies = reader.networks("trustedProxies", items)
    if admit_everybody(proxies):
        what = "is everybody: whoever asks could then say which address he has."
        reader.problem("trustedProxies", what, "10.0.0.5", path=True)
    return proxies


def _acme(
    reader: Reader, https: HttpsMode, resolver: str, *, is_known_version: bool
) -> Acme | None:
    acme = Acme(
        resolver=resolver,
        email=reader.optional("acmeEmail", rules.EMAIL),
        directory=reader.optional("acmeServer", rules.URL),
        challenge=reader.text("acmeChallenge", rules.CHALLENGE, "tls"),
        authority=reader.pem("acmeCa", "CERTIFICATE"),
        account=_external_account(reader),
    )
    if is_known_version:
        check_dns_provider(reader, acme.challenge)
    if acme.authority and not acme.directory:
        reader.remove("acmeCa", "needs acmeServer: Let's Encrypt's own authority is known.")
    if acme.account and not acme.directory:
        reader.remove("acmeEabKid", "needs acmeServer: Let's Encrypt binds no accounts.")
    return acme if https == "acme" else None


def _external_account(reader: Reader) -> ExternalAccount | None:
    key_id = reader.optional("acmeEabKid", rules.LINE)
    hmac = reader.secret_value("acmeEabHmac", rules.EAB_HMAC)
    if key_id is not None and hmac is not None:
        return ExternalAccount(key_id=key_id, hmac=hmac)
    if key_id is not None:
        command = reader.command("set", "acmeEabHmac", flags=" --secret")
        reader.problem("acmeEabHmac", f"is missing: it goes with acmeEabKid.\n      {command}")
    if hmac is not None:
        reader.problem("acmeEabKid", "is missing: it goes with acmeEabHmac.", "KEY-ID")
    return None


def _certificate(reader: Reader, https: HttpsMode, domains: list[str]) -> Certificate | None:
    chain = reader.pem("certificate", "CERTIFICATE")
    key = reader.pem("certificateKey", "PRIVATE KEY")
    if https != "own":
        for given in ("certificate", "certificateKey"):
            if reader.has(given):
                reader.problem("https", f"is {https}, and there is registry:{given}.", "own")
                break
        return None
    for name, example in (("certificate", "chain.pem"), ("certificateKey", "key.pem")):
        if not reader.has(name):
            flag = " --secret" if name == "certificateKey" else ""
            command = reader.command("set", name, flags=flag)
            what = "is missing: https own takes a certificate and its key, as PEM. Type"
            reader.problem(name, f"{what}\n      {command} < {example}")
    reader.secret_text("certificateKey")
    if chain is None or key is None:
        return None
    problems = wrong_with(chain, domains, datetime.now(timezone.utc))
    for problem in problems:
        reader.problem("certificate", problem)
    if problem_of_key := wrong_with_key(chain, key):
        reader.problem("certificateKey", problem_of_key)
    if not problems and (warning := ends_soon(chain)):
        reader.warnings.append(warning)
    return Certificate(chain=chain, key=key)
