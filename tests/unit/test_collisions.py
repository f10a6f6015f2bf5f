"""Names and hosts in Traefik that another stack has already."""

from __future__ import annotations



