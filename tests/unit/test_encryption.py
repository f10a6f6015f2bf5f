"""Files that are encrypted with a passphrase: whole and with the right one they open, else not."""

from __future__ import annotations

import base64
import json

import pytest

from ops import encryption
from ops.bootstrap.console import UserError
from ops.encryption import COST, MAX_WORK, decrypt, encrypt

TEXT = '{"secrets": {"registry:passwords.jané": "of the test\\n"}}'
PASSPHRASE = "correct horse battery staple"
WRONG = "another one, or the file isn't as it was written"
BROKEN = "isn't whole, or none of the form registry-encrypted/1"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have keys that take no time; the file says what they take."""
    monkeypatch.setattr(encryption, "COST", {**COST, "n": 2**10})


def test_what_is_encrypted_comes_back() -> None:
    first, second = encrypt(TEXT, PASSPHRASE), encrypt(TEXT, PASSPHRASE)
    assert decrypt(first, PASSPHRASE) == decrypt(second, PASSPHRASE) == TEXT
    parts = json.loads(first), json.loads(second)
    assert not {parts[0][name] for name in ("salt", "nonce", "ciphertext")} & {*parts[1].values()}


def test_nothing_of_it_is_in_plain_text() -> None:
    file = encrypt(TEXT, PASSPHRASE)
    decoded = base64.b64decode(json.loads(file)["ciphertext"])
    for word in ("secrets", "passwords", "of the test", "horse"):
        assert word not in file
        assert word.encode() not in decoded


def test_a_key_costs_what_stops_guessing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "COST", COST)
    header = json.loads(encrypt(TEXT, PASSPHRASE))
    assert header["n"] * header["r"] * header["p"] >= 2**20


@pytest.mark.parametrize("passphrase", ["", "correct horse battery stapl", f"{PASSPHRASE}\n"])
def test_another_passphrase_is_refused(passphrase: str) -> None:
    with pytest.raises(UserError, match=WRONG):
        decrypt(encrypt(TEXT, PASSPHRASE), passphrase)


@pytest.mark.parametrize("name", ["ciphertext", "salt", "nonce"])
@pytest.mark.parametrize("at", [0, -1])
def test_a_flipped_bit_is_noticed(name: str, at: int) -> None:
    parts = json.loads(encrypt(TEXT, PASSPHRASE))
    data = bytearray(base64.b64decode(parts[name]))
    data[at] ^= 1
    parts[name] = base64.b64encode(data).decode()
    with pytest.raises(UserError, match=WRONG):
        decrypt(json.dumps(parts), PASSPHRASE)


def test_a_changed_header_is_noticed() -> None:
    parts = json.loads(encrypt(TEXT, PASSPHRASE))
    with pytest.raises(UserError, match=WRONG):
        decrypt(json.dumps({**parts, "more": 1}), PASSPHRASE)


@pytest.mark.parametrize("length", [0, 1, 60, 200, -3])
def test_a_file_that_was_cut_short_is_none(length: int) -> None:
    with pytest.raises(UserError, match=BROKEN):
        decrypt(encrypt(TEXT, PASSPHRASE)[:length], PASSPHRASE)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "registry-encrypted/2"},
        {"n": 2**10 + 1},
        {"n": MAX_WORK},
        {"n": None},
        {"p": 0},
        {"nonce": 1},
        {"nonce": ""},
        {"salt": "€"},
        {"ciphertext": "no base64"},
    ],
)
def test_what_no_version_writes_is_none(change: dict[str, object]) -> None:
    parts = json.loads(encrypt(TEXT, PASSPHRASE))
    with pytest.raises(UserError, match=f"{BROKEN}|{WRONG}"):
        decrypt(json.dumps({**parts, **change}), PASSPHRASE)
