"""What can be known of an object store without its keys."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from components.distribution.storage import driver_named, drivers_in

SECONDS = 2
"""How long a store may take to answer; a preview goes on without it."""


def missing_bucket(config: Mapping[str, Any], authority: str | None = None) -> str | None:
    """Address of the bucket that `config` names, when its store says that there is none.

    A store tells strangers so (404), or that they may not look (403), which is as good as a yes;
    whatever else it does, or doesn't, is no answer. `authority` is PEM, as for the registry.
    """
    url = _address(config)
    if not url or not url.startswith(("https://", "http://")):
        return None
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - see above
    try:
        context = ssl.create_default_context(cadata=authority)
        with urllib.request.urlopen(request, timeout=SECONDS, context=context):  # noqa: S310
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
