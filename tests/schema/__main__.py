"""`python -m tests.schema`: write the schema anew, after a change of the registry's version."""

from __future__ import annotations

from ops.console import main
from settings.registry_schema import SCHEMA_FILE
from tests.schema import made_anew


def _write() -> None:
    SCHEMA_FILE.write_text(made_anew().strip() + "\n")


if __name__ == "__main__":
    main(_write)
