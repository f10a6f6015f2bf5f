"""The outputs of a deployed stack, as the commands of `make` use them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from settings.renamed import OUTPUTS


@dataclass(frozen=True, kw_only=True)
class StackOutputs:
    """Addresses of a deployed stack, and who may log in."""

    url: str
    """Address of the registry, with scheme."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    """None where Traefik knows only hashes of the passwords."""
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Passwords by user, of those that the program knows."""
    has_tokens: bool = False
    """The registry takes tokens, which a server beside it makes of logins."""
    dashboard: str | None = None
    """Address of Traefik's dashboard; None where the stack has none."""
    dashboard_users: Sequence[str] = ()
    external_https: bool = False
    """TLS ends at a proxy in front of Traefik."""
    mirrors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Mirrors by name: url, upstream, and whether they ask for a login."""
    version: str = ""
    """Version of the program that deployed it; empty where that had no such output."""

    @classmethod
    def read(cls, outputs: Mapping[str, Any]) -> StackOutputs | None:
        """Return them from what `pulumi stack output --json --show-secrets` prints.

        None where the stack isn't deployed.
        """
        if "url" not in outputs:
            return None
        former = {
            present: outputs[former] for former, present in OUTPUTS.items() if former in outputs
        }
        outputs = former | dict(outputs)
        return cls(
            url=outputs["url"],
            username=outputs.get("username"),
            password=outputs.get("password"),
            passwords=outputs.get("passwords") or {},
            has_tokens=outputs.get("auth") == "token",
            dashboard=outputs.get("dashboard") or None,
            dashboard_users=tuple(outputs.get("dashboardPasswords") or ()),
            external_https=outputs.get("https") == "external",
            mirrors=outputs.get("mirrors") or {},
            version=outputs.get("version") or "",
        )

    @property
    def users(self) -> Sequence[str]:
        """Users whose passwords are outputs."""
        return tuple(self.passwords)

    @property
    def address(self) -> str:
        """Host name of the registry, with its port where that isn't the usual one."""
        return self.url.partition("://")[2]

    @property
    def host(self) -> str:
        """Host name of the registry, without port."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_https(self) -> bool:
        """The registry is reached over HTTPS."""
        return self.url.startswith("https:")

    @property
    def authorization(self) -> Mapping[str, str]:
        """Header of a request with the login; with tokens, of a request for one."""
        text = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {text}"}
