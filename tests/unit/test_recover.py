"""What `make recover` says of passwords, after a state was lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ops import recover


def stack(**seeds: str) -> Any:
    """Return a stack with a given and a generated password, and a dashboard."""
    return SimpleNamespace(
        name="prod",
        outputs=SimpleNamespace(users=("admin", "ci"), dashboard_users=("admin",)),
        whole_config=SimpleNamespace(passwords={"ci": "given"}),
        settings=SimpleNamespace(login=SimpleNamespace(seeds=seeds)),
    )


def test_generated_passwords_are_new_without_their_seeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recover._tell_passwords(stack())
    output = capsys.readouterr().err
    assert "new passwords: admin. " in output
    assert "as before, since they were given: ci" in output
    assert "new passwords of Traefik's dashboard: admin" in output


def test_with_seeds_of_a_backup_all_passwords_are_as_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recover._tell_passwords(stack(login="a seed", dashboard="a seed"))
    output = capsys.readouterr().err
    assert "as before, by registry:passwordSeeds: admin" in output
    assert "new passwords" not in output
