"""A check of an object store that needs no keys."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from components.distribution.storage import driver_named, drivers_in

TIMEOUT_SECONDS = 2
"""Time limit for the store's answer; a preview continues without one."""


def missing_bucket(config: Mapping[str, Any], ca: str | None = None) -> str | None:
    """Return the address of the bucket that `config` names if the store has no such bucket.

    Without a login, a store answers 404 for a bucket that doesn't exist, and 403 for one that does.
    Any other answer, or none, leaves it open: None. `ca` is PEM, as for the registry.
    """
    url = _address(config)
    if not url or not url.startswith(("https://", "http://")):
        return None
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - see above
    try:
        context = ssl.create_default_context(cadata=ca)
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        return url if error.code == http.client.NOT_FOUND else None
    except (OSError, ValueError, http.client.HTTPException):
        return None


def _address(config: Mapping[str, Any]) -> str | None:
    urls = (
        driver_named(name).bucket_url(config["storage"][name] or {}) for name in drivers_in(config)
    )
    return next(filter(None, urls), None)
