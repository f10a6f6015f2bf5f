"""Programs that tests run, compiled from the Go modules that go.mod here and in clients/ pins.

pebble is Let's Encrypt's small ACME server, versitygw an S3 server; actionlint checks GitHub
workflows; crane, oras and regctl push to registries and pull from them; conformance is the suite of
OCI's distribution specification.
"""

from __future__ import annotations

from pathlib import Path

from ops.bootstrap.go_tool import CLIENTS, CRANE, compiled

HERE = Path(__file__).parent
PACKAGES = {
    "pebble": (HERE, "github.com/letsencrypt/pebble/v2/cmd/pebble"),
    "versitygw": (HERE, "github.com/versity/versitygw/cmd/versitygw"),
    "actionlint": (HERE, "github.com/rhysd/actionlint/cmd/actionlint"),
    "crane": (CLIENTS, CRANE),
    "oras": (CLIENTS, "oras.land/oras/cmd/oras"),
    "regctl": (CLIENTS, "github.com/regclient/regclient/cmd/regctl"),
    "conformance": (CLIENTS, "github.com/opencontainers/distribution-spec/conformance"),
}
"""Folder of the go.mod, and the package, by name of the program."""


def tool(name: str) -> Path:
    """Return the program, compiled once into the cache. Raises UserError when that fails."""
    return compiled(PACKAGES[name][0], name, PACKAGES[name][1])
