"""Settings of a Traefik, made at random and broken at random: each is refused by its key, or
Traefik takes what is made of it."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pulumi
import pytest
from hypothesis import HealthCheck, given, settings

from settings.proxy_schema import SCHEMA_FILE
from tests.schema.programs import is_there, program, wrong_with_options
from tests.schema.traefik import option_names, samples
from tests.schema.traefik_cases import Case, cases, flags_of, parsed

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (is_there("traefik") or os.environ.get("CI")), reason="needs Traefik"),
]

CASES = int(os.environ.get("REGISTRY_TEST_CASES", "1000"))
"""How many settings are made."""

NAMED_TOO = {"acmeServer", "httpsEntryPoint", "proxyHttpsPort", "mirrors"}
"""Settings that a message may name though they aren't set: their defaults clash with others."""


def test_the_schema_is_that_of_the_pinned_traefik() -> None:
    traefik, options = program("traefik"), dict(samples(json.loads(SCHEMA_FILE.read_text())))
    known = option_names(traefik)
    # A map isn't listed, and can't stand alone.
    assert known <= set(options) | {path for path in known if any_below(path, options)}
    assert set(options) <= known
    flags = [
        f"--{path.replace('<name>', 'x').replace('[n]', '[0]')}={text}"
        for path, text in options.items()
        if not any_below(path, options)
    ]
    assert wrong_with_options(traefik, flags) is None


def any_below(path: str, options: dict[str, str]) -> bool:
    return any(each.startswith((f"{path}.", f"{path}[")) for each in options)


def test_what_is_accepted_is_what_traefik_reads() -> None:
    refused: list[tuple[Case, str]] = []
    accepted: list[tuple[Case, list[str]]] = []

    @settings(max_examples=CASES, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(cases())
    def judge(case: Case) -> None:
        try:
            accepted.append((case, flags_of(parsed(case))))
        except pulumi.RunError as error:
            refused.append((case, str(error)))

    judge()
    assert refused
    assert accepted
    for case, message in refused:
        keys = re.findall(r"^  - registry:(\w+)", message, re.MULTILINE)
        assert keys, message
        assert set(keys) <= set(case) | NAMED_TOO, message
    traefik = program("traefik")
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda pair: wrong_with_options(traefik, pair[1]), accepted)
    failed = [(why, case) for why, (case, _) in zip(answers, accepted, strict=True) if why]
    print(f"{len(refused)} refused, {len(accepted)} accepted, {len(failed)} of them not read")
    assert not failed, "\n".join(f"{why} <- {case}" for why, case in failed[:20])
