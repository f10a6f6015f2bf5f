"""The registry without Traefik and a login: the peer that shows what those cost."""

from __future__ import annotations

import json
from pathlib import Path

from bench.testbed import Testbed
from components.distribution.config import (
    CONFIG_PATH,
    DATA_PATH,
    PORT,
    REGISTRY_IMAGE,
    ConfigOptions,
    Secrets,
    Wiring,
    document,
)
from components.distribution.service import TaskOptions, go_variables

WIRING = Wiring(login=False)


def start(
    testbed: Testbed,
    name: str,
    wiring: Wiring = WIRING,
    *,
    limited: bool = False,
) -> tuple[str, str]:
    """Run the image that stacks run, with their configuration; return its host and container.

    Where it is `limited`, it has the memory of a stack's registry, and Go knows of that. Else it
    has twice as much: with less the kernel ends it in the middle of a push, since Go doesn't know.
    It isn't without a limit, since then it alone would keep images in the page cache.
    """
    config = write_config(testbed, name, wiring=wiring)
    memory_mib = TaskOptions().memory_mib * (1 if limited else 2)
    command = ["run", "--detach", "--memory", f"{memory_mib}m"]
    variables = {"OTEL_TRACES_EXPORTER": "none", **(go_variables(memory_mib) if limited else {})}
    for key, value in variables.items():
        command += ["--env", f"{key}={value}"]
    mounts = ["--volume", f"{name}:{DATA_PATH}", "--volume", f"{config}:{CONFIG_PATH}:ro"]
    container = testbed.docker(*command, *mounts, REGISTRY_IMAGE)
    address = testbed.docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
    return f"{address}:{PORT}", container


def write_config(
    testbed: Testbed,
    name: str,
    options: ConfigOptions | None = None,
    wiring: Wiring = WIRING,
) -> Path:
    """Write the configuration of a registry, as stacks have it but for `options` and `wiring`."""
    content = document(options or ConfigOptions(), Secrets(http="s" * 32), wiring)
    path = testbed.folder / f"{name}.yml"
    path.write_text(json.dumps(content))
    return path
