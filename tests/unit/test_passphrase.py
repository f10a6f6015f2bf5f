"""Where a passphrase comes from: a file, or whoever is at the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops import passphrase
from ops.bootstrap.console import UserError
from ops.passphrase import read_passphrase

LONG = "six words of a test are enough"


def at_terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Return the questions that are asked of somebody who answers so."""
    asked: list[str] = []
    left = iter(answers)

    def getpass(question: str) -> str:
        asked.append(question)
        return next(left)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(passphrase, "getpass", getpass)
    return asked


def test_a_file_has_one_in_its_line(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text(f" {LONG} \n")
    assert read_passphrase(str(file), "a file", new=True) == f" {LONG} "
    file.write_text("short\n")
    assert read_passphrase(str(file), "a file", new=False) == "short"
    with pytest.raises(UserError, match="has 5 characters: 12 at the least"):
        read_passphrase(str(file), "a file", new=True)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"PASSPHRASE_FILE=.*none"):
        read_passphrase(str(tmp_path / "none"), "a file", new=False)


def test_a_new_one_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = at_terminal(monkeypatch, LONG, LONG)
    assert read_passphrase(None, "a file", new=True) == LONG
    assert asked == ["Passphrase of a file: ", "Once more: "]
    at_terminal(monkeypatch, LONG, "another")
    with pytest.raises(UserError, match="two passphrases"):
        read_passphrase(None, "a file", new=True)
    assert at_terminal(monkeypatch, LONG) == []
    assert read_passphrase(None, "a file", new=False) == LONG


def test_where_nobody_is_there_a_file_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    with pytest.raises(UserError, match="PASSPHRASE_FILE=…"):
        read_passphrase(None, "a file", new=True)
