"""Settings made at random: all that is wrong is one error with commands, and never a traceback."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.retention import rules_text
from settings import Settings, parse
from settings.limits import check_limits
from settings.reader import MAX_DEPTH, Reader
from settings.stack_schema import keys

from .program import raw

CASES = int(os.environ.get("REGISTRY_TEST_CASES", "150"))
"""Number of generated settings."""
GOOD = {"stackName": "images-com", "domain": "images.example.com", "proxy": "stack"}
TEXTS = [
    "", "-1", "0", "07", "1.0", "1e3", "true", "null", "٣", "٢٤h", "24h", "0h", "512MiB", "²GiB",
    "admin", "ci", "robot-*", "o'brien", "*", "**", "team/**", "pull", "push", "latest", "../..",
    "2026-11-27T10:00:00Z", "2026-02-31T10:00:00Z", "0 4 * * *", "0 4 31 2 *", "0 4 30-31/9 2 *",
    "s3://backups/a", "s3://backups/..", "volume:a", "volume:images-com_registry-data", "/srv/a",
    "10.0.0.5", "10.0.0.5/8", "fe80::1%eth0", "::ffff:10.0.0.5", "0.0.0.0/0", "registry-tools:1",
    "$2b$10$" + "a" * 53, "{SHA}" + "a" * 28, "$apr1$a$" + "a" * 22, "token", "external", "none",
]  # fmt: skip
"""Texts that mean something somewhere, or nearly."""
NAMES = [
    "users", "anonymous", "repositories", "actions", "schedule", "grace", "trash", "untagged",
    "memory", "keep", "olderThan", "never", "to", "s3", "region", "accesskey", "secretkey",
    "password", "until", "version", "admin", "ci", "a.b", "", "storage", "filesystem", "redis",
]  # fmt: skip
SHAPED = (
    "access", "users", "passwords", "formerPasswords", "passwordVersions", "hashedPasswords", "gc",
    "retention", "backup", "toolsImage", "rateLimit", "trustedProxies", "auth", "signingKeys",
    "tokenLifetime", "tokenReplicas", "config", "proxy", "https", "mirrors",
)  # fmt: skip
"""Settings that stand beside each other in most cases."""

scalars = st.one_of(
    st.sampled_from(TEXTS), st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=()), max_size=8), st.just("x" * 300),
)  # fmt: skip
# A name with a line break would make two lines of one.
letters = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
names = st.one_of(st.sampled_from(NAMES), st.text(letters, max_size=5))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(names, inner, max_size=4),
        st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES[:11], inner)),
    ),
    max_leaves=12,
)
known = sorted(keys())


def entries() -> st.SearchStrategy[Mapping[str, Any]]:
    some = st.sampled_from([*(f"registry:{key}" for key in SHAPED), *known])
    return st.dictionaries(some, values, max_size=5)


def check_accepted(accepted: Settings) -> None:
    """Check what the settings are handed on as."""
    if accepted.gc:
        json.loads(rules_text(accepted.gc.retention))
    if accepted.backup:
        for text in accepted.backup.location.files.values():
            json.loads(text)
    assert accepted.images
    check_limits(Reader({}, lambda _: False, "prod"), accepted)


@pytest.mark.timeout(300)
@settings(max_examples=CASES)
@given(entries(), st.booleans())
def test_whatever_is_set_is_taken_or_is_one_error(chosen: Mapping[str, Any], secret: bool) -> None:
    try:
        check_accepted(parse(raw({**GOOD, **chosen}), lambda _: secret, "prod"))
    except pulumi.RunError as error:
        head, *lines = str(error).splitlines()
        assert "of stack prod" in head
        for line in lines:
            if line.startswith("      pulumi config "):
                assert shlex.split(line)[-1]


def test_lists_in_lists_without_end_are_no_list() -> None:
    for depth in (MAX_DEPTH + 1, 900, 100_000):
        text = "[" * depth + "]" * depth
        with pytest.raises(pulumi.RunError, match="registry:access must be a list"):
            parse({**raw(GOOD), "registry:access": text, "registry:auth": "token"}, bool, "prod")
