"""What the benchmark of the data path says when a client fails."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench import data, testbed
from bench.artifact import Image
from bench.data import Clients, Target
from ops.bootstrap.console import UserError

LINES = "\n".join(["2026/01/01 retrying", "Error: unexpected EOF"])


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ({"Running": True}, ""),
        (
            {"Running": False, "OOMKilled": True, "ExitCode": 137},
            "\nits container of registry has ended: out of memory",
        ),
        (
            {"Running": False, "OOMKilled": False, "ExitCode": 2},
            "\nits container of registry has ended: exit code 2",
        ),
    ],
)
def test_a_client_that_fails_is_told_with_the_containers_that_ended(
    state: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: object, *args: object, **__: object) -> subprocess.CompletedProcess[str]:
        failed = int("push" in args)
        return subprocess.CompletedProcess([], failed, "", LINES if failed else "")

    monkeypatch.setattr(data, "crane", lambda: Path("crane"))
    bed = SimpleNamespace(
        folder=tmp_path, node=None, swarm=SimpleNamespace(exec=run), state=lambda _: state
    )
    target = Target("10.0.0.2:5000", tmp_path, {"registry": "id"})
    clients = Clients(cast(testbed.Testbed, bed), {"direct": target})
    image = SimpleNamespace(mib=1, folder=tmp_path, renew=lambda: "sha256:1")
    monkeypatch.setattr(clients, "_busy", lambda _: {})
    with pytest.raises(UserError) as failure:
        clients.round("direct", cast(Image, image))
    assert str(failure.value) == f"10.0.0.2:5000: `crane push`: Error: unexpected EOF{line}"
