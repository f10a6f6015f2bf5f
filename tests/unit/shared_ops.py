"""A home and commands that stand in for what a machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.bootstrap import state


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home, and an environment that names no backend and no Pulumi."""
    for name in ("BACKEND_URL", "CONFIG_PASSPHRASE", "CONFIG_PASSPHRASE_FILE", "HOME"):
        monkeypatch.delenv(f"PULUMI_{name}", raising=False)
    monkeypatch.setenv("PULUMI_CREDENTIALS_PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(state, "FOLDER", tmp_path / "state")
    monkeypatch.setattr(state, "PASSPHRASE", tmp_path / "state/passphrase")
    return tmp_path


def command(path: Path, script: str) -> None:
    """Return a shell script that can be called."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
