"""Settings that commands need at once, or while others are wrong.

Nothing here takes long to import. A wrong value is taken as it is, or for the default: to say so is
left to the preview.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from components.traefik.flags import PUBLIC_NETWORK
from settings import rules
from settings.kinds import Choice
from settings.reader import Reader

POLICIES = ("advisory", "mandatory")
AUTH = ("basic", "token")
HttpsMode = Literal["acme", "own", "external", "none"]
HTTPS_MODES: tuple[HttpsMode, ...] = ("acme", "own", "external", "none")


def stack_name(reader: Reader) -> str:
    """Return the stack's name on the swarm; empty where none is set."""
    return reader.get("stackName", rules.STACK, "")


def network_name(reader: Reader) -> str:
    """Return the name of the network that Traefik is on."""
    return reader.get("network", rules.NAME, PUBLIC_NETWORK)


def policy(reader: Reader) -> str:
    """Return how policies are enforced: `advisory` with warnings, `mandatory` with errors."""
    return reader.get("policy", Choice(POLICIES), POLICIES[0])


def asks_tokens(reader: Reader) -> bool:
    """Return whether the registry takes tokens, not logins."""
    return reader.get("auth", Choice(AUTH), AUTH[0]) == "token"


def collects_garbage(reader: Reader) -> bool:
    """Return whether what was deleted is to free its space."""
    return reader.has("gc")


def is_backed_up(reader: Reader) -> bool:
    """Return whether the images are to be copied elsewhere."""
    return reader.has("backup")


def tools_image(reader: Reader) -> str | None:
    """Return the image of the project's own programs; None for the one that is built."""
    return reader.get("toolsImage", rules.IMAGE)


def brings_certificate(reader: Reader) -> bool:
    """Return whether the certificate is in the settings: nobody renews that by itself."""
    return reader.get("https", Choice(HTTPS_MODES), HTTPS_MODES[-1]) == "own"


def log_level(reader: Reader) -> str | None:
    """Return the level of the registry's own log; None where none is set."""
    log = reader.mapping("config", "…").get("log")
    return str(log["level"]) if isinstance(log, Mapping) and "level" in log else None


def passwords(reader: Reader) -> Mapping[str, Any]:
    """Return the passwords that are given, by user."""
    return reader.mapping("passwords", "…")
