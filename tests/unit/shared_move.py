"""What the tests of `make move` share."""

from __future__ import annotations

from components.traefik.route import Https, Route

ROUTE = Route(
    domain="images.example.com",
    tag="images-registry",
    network="public",
    constraint_label="traefik.constraint-label",
    constraint_value="public",
    https=Https(),
    users={"admin": "$2y$05$hash"},
)
"""Route of the registry that is moved."""
