"""Commands in messages name the stack that they are about."""

from __future__ import annotations

import pytest

from components.swarm.inspect import Network
from settings.remedies import explain, for_stack

from .conftest import swarm


@pytest.mark.parametrize(
    ("command", "complete"),
    [
        ("pulumi config set docker:host NAME", "pulumi config set --stack live docker:host NAME"),
        ("pulumi config rm --path 'a[0]'", "pulumi config rm --stack live --path 'a[0]'"),
        ("pulumi config set --stack prod a b", "pulumi config set --stack prod a b"),
        ("pulumi config set --stack prod --path a b", "pulumi config set --stack prod --path a b"),
        ("docker swarm init", "docker swarm init"),
    ],
)
def test_a_command_gets_the_stack_that_it_lacks(command: str, complete: str) -> None:
    assert for_stack(f"Type:\n      {command}\n", "live") == f"Type:\n      {complete}\n"


def test_each_command_of_a_message_gets_it() -> None:
    there = Network(name="n", driver="overlay", scope="swarm", encrypted=True)
    inner = Network(name="s_redis", driver="overlay", scope="swarm")
    (error,) = swarm(networks=(there, inner)).require_encrypted("n", {"s_redis": "redis"})
    commands = "pulumi config set --stack live registry:cache "
    assert explain(error, "live").count(commands) == 2
