"""Settings that are too large for Swarm, or for a command line."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.credentials import HASH_LENGTH, htpasswd_line

from .shared_settings import (
    APR1,
    CA,
    ISSUER,
    MIRROR,
    PRIVATE,
    S3,
    SECRET,
    SECRETS,
    settings,
)

LARGE = "x" * 512 * 1024
LARGE_CA = ISSUER.chain + LARGE


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("users", {"users": [f"user-{number:05}" for number in range(8_000)]}),
        ("hashedPasswords", {"hashedPasswords": {f"user-{n:05}": APR1 for n in range(12_000)}}),
        ("users", {"auth": "token", "hashedPasswords": {f"u-{n:05}": APR1 for n in range(4_000)}}),
        (
            "access",
            {
                "auth": "token",
                "access": [{"users": ["*"], "actions": ["pull"], "repositories": ["x" * 250]}]
                * 2_000,
            },
        ),
        ("signingKeys", {"auth": "token", "signingKeys": [f"k{n:05}" for n in range(2_000)]}),
        (
            "retention",
            {
                "gc": {},
                "retention": [{"repositories": ["x" * 250] * 2_000, "keep": 1, "olderThan": "1h"}],
            },
        ),
        (
            "backup.s3",
            {"backup": {"to": "s3://copies", "s3": {"region": "eu-central-1", "useragent": LARGE}}},
        ),
        ("config", {"config": {"http": {"headers": {"X-Large": ["x" * 64] * 8_000}}}}),
        ("storageCa", {"storageCa": LARGE_CA, "config": {"storage": {"s3": S3}}}),
        ("mirrors.hub.ca", {"mirrors": {"hub": MIRROR | {"ca": LARGE_CA}}}),
        ("mirrors.hub.password", {"mirrors": {"hub": PRIVATE | {"password": LARGE}}}),
        ("dashboardUsers", {"dashboardUsers": [f"user-{n:05}" for n in range(8_000)]}),
        ("proxySecrets.TOKEN", {"proxySecrets": {"TOKEN": LARGE}}),
        ("proxyEnvironment", {"proxyEnvironment": {"TOKEN": LARGE}}),
        ("proxyConfig", {"proxyConfig": {"log": {"filePath": LARGE}}}),
        ("acmeCa", {"acmeCa": LARGE_CA, "acmeServer": CA}),
    ],
)
def test_what_is_too_large_for_swarm_is_refused_before_anything_is_made(
    key: str, values: dict[str, Any]
) -> None:
    of_proxy = {"proxy": "main", "dashboardDomain": "traefik.example.com"}
    with pytest.raises(pulumi.RunError, match="Swarm takes 511999 at the most") as error:
        settings((*SECRETS, "registry:mirrors"), **(of_proxy | values))
    message = str(error.value)
    assert message.startswith("One setting")
    assert f"registry:{key} makes a content of" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("proxyConfig", {"log": {"filePath": "x" * 2**17}}),
        ("proxyEnvironment", {"LONG": "x" * 2**17}),
        ("trustedProxies", [f"10.{n // 250}.{n % 250}.17" for n in range(10_660)]),
    ],
)
def test_what_is_too_long_for_a_command_line_is_refused(key: str, value: Any) -> None:
    with pytest.raises(pulumi.RunError, match=f"registry:{key} has 131... bytes"):
        settings(proxy="main", **{key: value})


def test_a_file_of_logins_has_the_size_that_is_reckoned_with() -> None:
    users = ["admin", "jane.doe", "jörg"]
    lines = [htpasswd_line(user, SECRET, bytes(16), 4) + "\n" for user in users]
    file = "".join(lines).encode()
    assert len(file) == sum(len(user.encode()) + len(":\n") + HASH_LENGTH for user in users)
