"""Settings of a stack's own Traefik, and of how HTTPS comes about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from components.credentials import DEFAULT_USERS
from components.proxy import Certificate, ProxyOptions
from components.socket_proxy import SocketProxyOptions
from components.swarm.pull_login import is_version_of
from components.traefik.flags import (
    API_PORT,
    HTTP_PORT,
    HTTPS_PORT,
    METRICS_PORT,
    PING_PORT,
    Acme,
    ExternalAccount,
)
from settings import rules
from settings.certificate import ends_soon, wrong_with, wrong_with_key
from settings.early import HttpsMode
from settings.kinds import BOOLEAN, Choice, Mebibytes, Number
from settings.proxy_schema import check_dns_provider, check_options
from settings.reader import Reader
from settings.routing import OF_TRAEFIK, RoutingSettings

PORT = Number(1, 65535)
MODES: tuple[Literal["replicated", "global"], ...] = ("replicated", "global")
DEFAULTS = ProxyOptions()


@dataclass(frozen=True, kw_only=True)
class DashboardSettings:
    """Traefik's dashboard."""

    domain: str
    """Its host name."""
    users: Sequence[str]
    """Who may see it, with generated passwords. Default `admin`."""


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """A stack's own Traefik, and what goes with it."""

    options: ProxyOptions
    socket_proxy: SocketProxyOptions | None
    """`registry:proxySocket`. None (`mount`): Traefik has Docker's socket, read-only. Else
    (`proxy`) it asks HAProxy, which lets little pass. Default `mount`."""
    dashboard: DashboardSettings | None
    """Default: no dashboard."""


def parse_proxy(reader: Reader, routing: RoutingSettings, domains: Sequence[str]) -> ProxySettings:
    """Return the stack's own Traefik; note in `reader` what is wrong with it.

    `domains` are those that it serves, the registry's first. Where the stack joins another's there
    is no such Traefik: shared settings may speak of one, but what asks for it is wrong.
    """
    https, joins = routing.https, routing.joins
    if joins:
        _refuse_without_proxy(reader)
    http_port, https_port, dashboard_port = _ports(reader, routing)
    dashboard = _dashboard(reader, https, domains)
    mode = reader.get("proxyMode", Choice(MODES), DEFAULTS.mode)
    if mode == "global" and https == "acme":
        reader.problem(
            "proxyMode",
            "is global, and https is acme: Traefik's file of certificates can't be shared, so each"
            " would order its own and answer the challenges of others. Bring a certificate"
            " (https own), or keep one Traefik.",
            "replicated",
        )
    image = reader.get("proxyImage", rules.IMAGE, DEFAULTS.image)
    is_known_version = is_version_of(image, DEFAULTS.image)
    config = _config(reader, routing, is_known_version=is_known_version)
    secrets = reader.texts("proxySecrets", rules.VARIABLE, "…")
    for name in secrets:
        reader.secret("proxySecrets", name)
    for key in ("proxyConfig", "proxyEnvironment"):
        reader.open(key, "Traefik's flags and variables are for all to see; see proxySecrets")
    domains = [*domains, *([dashboard.domain] if dashboard else [])]
    options = ProxyOptions(
        image=image,
        http_port=http_port,
        https_port=https_port,
        dashboard_port=dashboard_port,
        mode=mode,
        trusted_proxies=routing.trusted_proxies,
        acme=_acme(reader, https, routing.cert_resolver, is_known_version=is_known_version),
        certificate=None if joins else _certificate(reader, https, domains),
        registries_only=routing.proxy_mode == "stack",
        socket_path=reader.get("proxySocketPath", rules.SOCKET_PATH, DEFAULTS.socket_path),
        metrics=reader.get("proxyMetrics", BOOLEAN, DEFAULTS.metrics),
        memory_mib=reader.get("proxyMemory", Mebibytes(64), DEFAULTS.memory_mib),
        config=config,
        secrets=secrets,
        environment=reader.texts("proxyEnvironment", rules.VARIABLE, "…"),
    )
    return ProxySettings(
        options=options,
        socket_proxy=_socket_proxy(reader, options.socket_path),
        dashboard=dashboard,
    )


def _config(
    reader: Reader, routing: RoutingSettings, *, is_known_version: bool
) -> Mapping[str, Any]:
    """Return further options of Traefik; where there is none of this stack's, as they are."""
    entry_points = _entry_points(reader, routing)
    config = reader.mapping("proxyConfig", "…")
    if routing.joins:
        return config
    return check_options(
        reader,
        config,
        entry_points=entry_points,
        resolver=routing.cert_resolver if routing.https == "acme" else None,
        is_known_version=is_known_version,
    )


def _ports(reader: Reader, routing: RoutingSettings) -> tuple[int, int, int | None]:
    """Return the ports of HTTP, HTTPS and the dashboard without login, None where there is none."""
    http_port = reader.get("proxyHttpPort", PORT, DEFAULTS.http_port)
    https_port = reader.get("proxyHttpsPort", PORT, DEFAULTS.https_port)
    dashboard_port = reader.get("proxyDashboardPort", Number(0, 65535), 0)
    if dashboard_port == http_port:
        reader.problem("proxyDashboardPort", f"is {dashboard_port}, as is proxyHttpPort.", "8090")
    if dashboard_port and routing.proxy_mode == "main":
        reason = "opens Traefik's API, with the hashes of all logins, to everybody; dashboardDomain"
        reader.remove("proxyDashboardPort", f"{reason} has a login.")
    if routing.https in OF_TRAEFIK and https_port == http_port:
        reader.problem("proxyHttpsPort", f"is {https_port}, as is proxyHttpPort.", "443")
    return http_port, https_port, dashboard_port or None


def _dashboard(
    reader: Reader, https: HttpsMode, domains: Sequence[str]
) -> DashboardSettings | None:
    domain = reader.get("dashboardDomain", rules.DOMAIN)
    users = reader.names("dashboardUsers", rules.USER, DEFAULT_USERS)
    reader.unshare("dashboardDomain", "a host name that leads to one dashboard")
    if domain and https == "none":
        reader.remove("dashboardDomain", "needs HTTPS: a login mustn't travel in plain text.")
    if domain in domains:
        reason = "is the registry's own, or a mirror's."
        reader.problem("dashboardDomain", reason, f"traefik.{domains[0]}")
    return DashboardSettings(domain=domain, users=users) if domain else None


def _socket_proxy(reader: Reader, socket_path: str) -> SocketProxyOptions | None:
    options = SocketProxyOptions(
        image=reader.get("socketProxyImage", rules.IMAGE, SocketProxyOptions.image),
        socket_path=socket_path,
    )
    mode = reader.get("proxySocket", Choice(("mount", "proxy")), "mount")
    return options if mode == "proxy" else None


def _entry_points(reader: Reader, routing: RoutingSettings) -> dict[str, int]:
    """Return the ports of all entry points that aren't from `proxyConfig`, by name."""
    entry_points = {"ping": PING_PORT, "metrics": METRICS_PORT, "traefik": API_PORT}
    points = [("entryPoint", routing.entry_point, HTTP_PORT)]
    if routing.https in OF_TRAEFIK:
        points.append(("httpsEntryPoint", routing.https_entry_point, HTTPS_PORT))
    for key, name, port in points:
        if name in entry_points and not routing.joins:
            reason = f"is {name!r}, as is another of Traefik's entry points."
            reader.problem(key, reason, "http" if key == "entryPoint" else "https")
        entry_points[name] = port
    return entry_points


def _refuse_without_proxy(reader: Reader) -> None:
    for key in (
        "proxyDashboardPort",
        "dashboardDomain",
        "certificate",
        "certificateKey",
    ):
        if reader.has(key):
            reader.remove(key, "needs a proxy of this stack (registry:proxy main or stack).")


def _acme(
    reader: Reader, https: HttpsMode, resolver: str, *, is_known_version: bool
) -> Acme | None:
    acme = Acme(
        resolver=resolver,
        email=reader.get("acmeEmail", rules.EMAIL),
        directory=reader.get("acmeServer", rules.URL),
        challenge=reader.get("acmeChallenge", rules.CHALLENGE, Acme.challenge),
        ca=reader.pem("acmeCa", "CERTIFICATE"),
        account=_external_account(reader),
    )
    if is_known_version:
        check_dns_provider(reader, acme.challenge)
    if acme.ca and not acme.directory:
        reader.remove("acmeCa", "needs acmeServer: Let's Encrypt's own authority is known.")
    if acme.account and not acme.directory:
        reader.remove("acmeEabKid", "needs acmeServer: Let's Encrypt binds no accounts.")
    return acme if https == "acme" else None


def _external_account(reader: Reader) -> ExternalAccount | None:
    key_id = reader.get("acmeEabKid", rules.LINE)
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
            reason = "is missing: https own takes a certificate and its key, as PEM. Type"
            reader.problem(name, f"{reason}\n      {command} < {example}")
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
