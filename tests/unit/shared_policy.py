"""Services for the policies to look at."""

from __future__ import annotations

from policy import rules

DIGEST = "@sha256:" + "0" * 64
EVERY = [
    rules.no_plain_secrets,
    rules.stateful_services_pinned,
    rules.memory_limited,
    rules.images_by_digest,
    rules.no_latest,
    rules.updates_can_be_undone,
    rules.logs_rotated,
    rules.ports_on_the_proxy_only,
    rules.socket_for_the_proxy_only,
]
APR1 = "admin:$apr1$8sdhfjsd$Mb6IbAMxSMVRIsDe0lS.j/"
PEM = "-----BEGIN EC PRIVATE KEY-----\nabc"
