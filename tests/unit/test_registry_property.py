"""Configurations of the registry, made at random from the schema and broken at random: each is
refused by its key, or the registry starts with what is made of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.distribution.config import Secrets, Wiring, document
from settings import parse
from testing.go_tests import NEEDS_GO
from tests.schema import registry_cases, starter

CASES = int(os.environ.get("REGISTRY_TEST_CASES", "1000"))
"""Number of generated configurations."""
GOOD = {"registry:stackName": "registry-com", "registry:domain": "registry.example.com"}


def wrong_keys(message: str) -> list[str]:
    return re.findall(r"^  - registry:(\S+) ", message, re.MULTILINE)


@pytest.mark.timeout(1800)
@NEEDS_GO
@pytest.mark.parametrize(
    "configs", [registry_cases.whole(), registry_cases.with_s3()], ids=["files", "S3"]
)
def test_what_is_accepted_starts(tmp_path: Path, configs: st.SearchStrategy[Any]) -> None:
    refused: list[str] = []
    accepted: list[str] = []

    @settings(max_examples=CASES)
    @given(configs)
    def judge(config: Any) -> None:
        values = GOOD | {"registry:config": json.dumps(config)}
        try:
            parsed = parse(values, lambda _: False, "prod")
        except pulumi.RunError as error:
            refused.append(str(error))
            return
        made = document(parsed.registry, Secrets(http="secret"), Wiring(login=False))
        if files := made["storage"].get("filesystem"):
            files["rootdirectory"] = str(tmp_path)
        accepted.append(json.dumps(made))

    judge()
    assert refused
    assert accepted
    for message in refused:
        keys = wrong_keys(message)
        assert keys, message
        assert all(key.startswith("config") for key in keys), message
    (tmp_path / "documents").write_text("\n".join(accepted))
    # Variables of the machine would be read as configuration.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
    with (tmp_path / "documents").open() as documents:
        answer = subprocess.run(
            [starter()], stdin=documents, env=environment, capture_output=True, text=True,
            timeout=1200, check=False,
        )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-2000:]
    answers = answer.stdout.splitlines()
    failed = [pair for pair in zip(answers, accepted, strict=True) if pair[0]]
    print(f"{len(refused)} refused, {len(accepted)} accepted, {len(failed)} of them don't start")
    assert not failed, "\n".join(" <- ".join(pair) for pair in failed[:20])
