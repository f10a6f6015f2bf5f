"""`python -m tests.schema`: write the schemas anew, after a change of a program's version."""

from __future__ import annotations

from ops.bootstrap.console import main
from settings import proxy_schema, registry_schema
from tests import schema
from tests.schema import traefik


def _write() -> None:
    registry_schema.SCHEMA_FILE.write_text(schema.made_anew().strip() + "\n")
    proxy_schema.SCHEMA_FILE.write_text(traefik.made_anew() + "\n")
    proxy_schema.DNS_PROVIDERS_FILE.write_text(traefik.dns_providers())


if __name__ == "__main__":
    main(_write)
