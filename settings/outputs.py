"""A stack's outputs, in the order in which one needs them."""

from __future__ import annotations

from typing import Any

import pulumi

from components import Credentials
from components.version import VERSION
from settings import Settings
from settings.renamed import OUTPUTS


def export(
    settings: Settings,
    ready: pulumi.Output[bool],
    *,
    login: Credentials | None,
    dashboard_login: Credentials | None,
    service: pulumi.Input[str],
    node: pulumi.Input[str] | None,
) -> None:
    """Export where the registry is, and who may log in; addresses once all services are `ready`."""
    routes = settings.routes
    pulumi.export("url", ready.apply(lambda _: routes.url))
    if login and settings.login.users:
        pulumi.export("username", settings.login.users[0])
        pulumi.export("password", login.passwords[settings.login.users[0]])
        pulumi.export("passwords", login.passwords)
    if settings.token_server:
        pulumi.export("auth", "token")
    if settings.routing.https == "external":
        pulumi.export("https", settings.routing.https)
    _export("dashboard", routes.dashboard_url)
    if dashboard_login:
        _export("dashboardPasswords", dashboard_login.passwords)
    pulumi.export("service", service)
    pulumi.export("node", node)
    # What `make mirrors` makes the nodes' configuration of.
    mirrors = {
        mirror.name: {
            "url": routes.url_of(mirror.domain),
            "upstream": mirror.upstream.url,
            "login": mirror.asks_login,
        }
        for mirror in settings.mirrors
    }
    pulumi.export("mirrors", ready.apply(lambda _: mirrors))
    pulumi.export("version", ready.apply(lambda _: VERSION))


def _export(name: str, value: pulumi.Input[Any]) -> None:
    """Export an output that had another name, by both."""
    pulumi.export(name, value)
    for former, present in OUTPUTS.items():
        if present == name:
            pulumi.export(former, value)
