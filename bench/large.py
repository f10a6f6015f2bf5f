"""Previews of a large stack: a hundred users and twenty mirrors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from bench.figures import Figure, Rounds
from bench.testbed import Testbed
from ops.bootstrap.console import wait
from testing.project import Project

ROUNDS = 5
SIZES = {"large": (100, 20), "small": (1, 1)}
"""Users and mirrors."""


def measure(testbed: Testbed) -> Iterator[Figure]:
    """Deploy both and stop their tasks, which would share the cores; measure previews."""
    projects = {
        name: _deployed(testbed, name, *size, port=8100 + number)
        for number, (name, size) in enumerate(SIZES.items())
    }
    names = testbed.docker("service", "ls", "--format", "{{.Name}}").split()
    testbed.docker("service", "scale", "--detach", *(f"{name}=0" for name in names))
    wait("tasks to end", lambda: not testbed.docker("ps", "--quiet"), 120)

    def preview(project: Project) -> None:
        project.ok("preview", "--expect-no-changes", "--stack", "bench")

    rounds = Rounds()
    rounds.run(
        {
            "large": lambda: preview(projects["large"]),
            "small": lambda: preview(projects["small"]),
        },
        ROUNDS,
    )
    yield Figure(
        title="preview with 100 users and 20 mirrors / with 1 and 1",
        ours=rounds.times["large"],
        peer=rounds.times["small"],
        unit="s",
        target=1.5,
    )


def _deployed(testbed: Testbed, name: str, users: int, mirrors: int, port: int) -> Project:
    project = testbed.project(name)
    project.init("bench")
    file = project.folder / "Pulumi.bench.yaml"
    content: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
    content["config"] = {
        "registry:stackName": name,
        "registry:domain": f"{name}.example.com",
        "registry:proxy": "stack",
        "registry:network": name,
        "registry:proxyHttpPort": str(port),
        "registry:users": [f"user{number}" for number in range(users)],
        "registry:memory": "64MiB",
        "registry:mirrors": {
            f"mirror{number}": {
                "upstream": "https://registry-1.docker.io",
                "domain": f"mirror{number}.{name}.example.com",
            }
            for number in range(mirrors)
        },
    }
    file.write_text(yaml.safe_dump(content))
    project.up("bench")
    return project
