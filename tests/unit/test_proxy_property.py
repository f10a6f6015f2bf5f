"""Settings of a Traefik, made at random and broken at random: each is refused by its key, or
Traefik takes what is made of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pulumi
import pytest
from hypothesis import given, settings

from components.traefik.route import label_name
from settings.proxy_schema import DNS_PROVIDERS_FILE, SCHEMA_FILE
from tests.schema.engine import NETWORK, engine
from tests.schema.programs import is_there, program, wrong_with_options
from tests.schema.traefik import dns_providers, option_names, samples
from tests.schema.traefik_cases import Case, cases, flags_of, labels_of, parsed

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (is_there("traefik") or os.environ.get("CI")), reason="needs Traefik"),
]

CASES = int(os.environ.get("REGISTRY_TEST_CASES", "1000"))
"""Number of generated settings."""

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


def test_the_dns_providers_are_those_of_the_pinned_traefik() -> None:
    assert dns_providers() == DNS_PROVIDERS_FILE.read_text()


def any_below(path: str, options: dict[str, str]) -> bool:
    return any(each.startswith((f"{path}.", f"{path}[")) for each in options)


def test_what_is_accepted_is_what_traefik_reads() -> None:
    refused: list[tuple[Case, str]] = []
    accepted: list[tuple[Case, list[str]]] = []

    @settings(max_examples=CASES)
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


def test_every_label_that_is_accepted_makes_the_routers_that_it_is_meant_to(
    tmp_path: Path,
) -> None:
    # One Traefik reads the labels of all stacks, and says what it makes of them.
    services: dict[str, Mapping[str, str]] = {}
    expected: dict[str, tuple[str, Case]] = {}

    @settings(max_examples=CASES // 4)
    @given(cases(options=False))
    def judge(case: Case) -> None:
        # Each stack has names of its own, as a preview makes sure of.
        number = len(services)
        text = json.dumps(case | {"stackName": f"s{number}", "network": NETWORK})
        case = json.loads(re.sub(r"([a-z]+)\.example\.com", rf"\1-{number}.example.com", text))
        with contextlib.suppress(pulumi.RunError):
            made = parsed(case)
            for part, labels in labels_of(made).items():
                renamed_labels = renamed(labels, made.routing.tag, f"t{number}")
                services[f"s{number}_{part}"] = renamed_labels
                for key in renamed_labels:
                    if match := re.fullmatch(r"traefik\.http\.routers\.([^.]+)\.rule", key):
                        expected[match[1]] = (made.routing.domain, case)

    judge()
    assert expected
    points = {point for labels in services.values() for key, point in labels.items()
              if key.endswith(".entrypoints")}  # fmt: skip
    port = free_port()
    flags = [f"--entrypoints.{point}.address=127.0.0.1:0" for point in sorted(points)]
    flags += [f"--entrypoints.traefik.address=127.0.0.1:{port}", "--api.insecure=true"]
    with engine(tmp_path / "docker.sock", services) as address:
        flags += [
            f"--providers.swarm.endpoint={address}",
            "--providers.swarm.exposedbydefault=false",
        ]
        flags += [f"--providers.swarm.network={NETWORK}"]
        command = [str(program("traefik")), *flags]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as traefik:
            try:
                routers = wait_for_routers(port, set(expected))
            finally:
                traefik.kill()
                log = traefik.stdout.read().decode() if traefik.stdout else ""
    missing = set(expected) - set(routers)
    first = sorted(missing)[:3]
    assert not missing, f"{[expected[each] for each in first]}\n{log[-3000:]}"


def renamed(labels: Mapping[str, str], tag: str, name: str) -> dict[str, str]:
    """Return the labels with a tag that no other stack has."""
    old = label_name(tag)
    pattern = re.compile(rf"(?<=\.){re.escape(old)}(?=[.-])")
    return {pattern.sub(name, key): text for key, text in labels.items()}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def wait_for_routers(port: int, names: set[str]) -> dict[str, Any]:
    """Return the routers that Traefik has, by name, once it has all of `names` or 30 s are over."""
    routers: dict[str, Any] = {}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not names <= set(routers):
        time.sleep(0.2)
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{port}/api/rawdata"
            with urllib.request.urlopen(url, timeout=10) as answer:
                answered = json.load(answer).get("routers") or {}
            routers = {name.partition("@")[0]: each for name, each in answered.items()}
    return routers
