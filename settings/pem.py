"""Certificates and keys, as PEM: texts, or files that have them."""

from __future__ import annotations

import re
from pathlib import Path

PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


class WrongPemError(ValueError):
    """A text that isn't PEM of a kind; says why, and never what it is."""

    def __init__(self, reason: str, example: str | None = None) -> None:
        super().__init__(reason)
        self.example = example
        """What to set instead, if that helps."""


def read_pem(value: str, kind: str) -> str:
    """Return a text with a PEM block of `kind` in it: `value`, or what the file of that name has.

    `WrongPemError` when there is none.
    """
    if PRIVATE_KEY.search(value) and kind != "PRIVATE KEY":
        raise WrongPemError(
            "has a private key in it, which belongs to certificateKey: take it out here"
        )
    if "-----BEGIN" not in value:
        try:
            value = Path(value).read_text()
        except (OSError, ValueError) as error:
            raise WrongPemError(
                "is neither PEM text nor a file that can be read from the project's folder",
                f"certificates/{kind.lower().replace(' ', '-')}.pem",
            ) from error
    if not re.search(rf"-----BEGIN [A-Z ]*{kind}-----", value):
        raise WrongPemError(f"has no PEM block of a {kind.lower()} in it")
    return value
