"""Which rollbacks by hand would find all that they need."""

from __future__ import annotations

from typing import Any

import pytest

from components.swarm.rollback import can_roll_back


def spec(*secrets: str) -> dict[str, Any]:
    container = {"Secrets": [{"SecretID": id_} for id_ in secrets]}
    return {"TaskTemplate": {"ContainerSpec": container}}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, spec("a"), True),
        (spec("a"), spec("a"), True),
        (spec("a"), spec("a", "b"), True),
        (spec("a", "b"), spec("a"), False),
        (spec("a"), spec("b"), False),
        (spec(), {"TaskTemplate": {}}, True),
    ],
)
def test_a_rollback_needs_the_secrets_of_before(
    before: dict[str, Any] | None, now: dict[str, Any], expected: bool
) -> None:
    service = {"Spec": now} | ({"PreviousSpec": before} if before else {})
    assert can_roll_back(service) is expected
