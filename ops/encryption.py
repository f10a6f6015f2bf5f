"""Text that is encrypted with a passphrase, as a file that may lie anywhere.

It is JSON: what it takes to make the key of the passphrase, which is authenticated as well, and the
ciphertext.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ops.bootstrap.console import UserError

FORMAT = "registry-encrypted/1"
"""Names the form of the file, and the algorithms: scrypt and AES-256-GCM."""
COST = {"n": 2**17, "r": 8, "p": 1}
"""Of scrypt: 128 MiB and half a second a guess (OWASP Password Storage Cheat Sheet)."""
MAX_WORK = 2**24
"""The largest `n * r * p` that is taken from a file, 16 times the above: 2 GiB at the most."""
KEY_BYTES, SALT_BYTES, NONCE_BYTES = 32, 16, 12


def encrypt(text: str, passphrase: str) -> str:
    """Return the file that has `text`, another one each time."""
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    header = {"format": FORMAT, **COST, "salt": _text(salt), "nonce": _text(nonce)}
    ciphertext = _cipher(header, passphrase).encrypt(nonce, text.encode(), _authenticated(header))
    return json.dumps({**header, "ciphertext": _text(ciphertext)}, indent=2) + "\n"


def decrypt(file: str, passphrase: str) -> str:
    """Return the text that a file has; a UserError where that can't be."""
    try:
        header = dict(json.loads(file))
        if header.get("format") != FORMAT:
            raise ValueError
        ciphertext = base64.b64decode(header.pop("ciphertext"), validate=True)
        nonce = base64.b64decode(header["nonce"], validate=True)
        cipher = _cipher(header, passphrase)
    except (ValueError, TypeError, KeyError):
        raise UserError(f"the file isn't whole, or none of the form {FORMAT}") from None
    try:
        return cipher.decrypt(nonce, ciphertext, _authenticated(header)).decode()
    except (InvalidTag, ValueError):
        raise UserError(
            "the passphrase is another one, or the file isn't as it was written"
        ) from None


def _cipher(header: Mapping[str, Any], passphrase: str) -> AESGCM:
    """Return what encrypts with the key of a passphrase; `ValueError` where that takes too much."""
    n, r, p = (int(header[name]) for name in COST)
    if not 0 < n * r * p <= MAX_WORK:
        raise ValueError
    salt = base64.b64decode(header["salt"], validate=True)
    key = Scrypt(salt=salt, length=KEY_BYTES, n=n, r=r, p=p).derive(passphrase.encode())
    return AESGCM(key)


def _authenticated(header: Mapping[str, Any]) -> bytes:
    """Return all but the ciphertext, in one form."""
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
