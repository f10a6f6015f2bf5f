"""What the tests of `make move` share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator

import pytest

from components.run.takeover import Move
from components.traefik.route import Https, Route
from ops.job import Job
from ops.move import copying

ROUTE = Route(
    domain="images.example.com",
    tag="images-registry",
    network="public",
    constraint_label="traefik.constraint-label",
    constraint_value="public",
    https=Https(),
    users={"admin": "$2y$05$hash"},
)
"""Route of the registry that is moved."""


class Copying:
    """The programs of a move, whose steps are noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.steps: list[str] = []
        self.jobs: dict[str, Job] = {}
        self.moves: list[Move | None] = []
        """Of each deployment."""
        self.fails = ""
        """Step that fails."""
        self.counts = {"bytes": 5 * 2**30, "size": 2**20, "removed": 0, "free": free}
        monkeypatch.setattr(copying, "running", self.running)
        monkeypatch.setattr(copying, "run_job", self.run_job)
        monkeypatch.setenv("YES", "1")

    @contextlib.contextmanager
    def running(self, _: object, job: Job) -> Iterator[None]:
        self.jobs[job.name] = job
        self.steps.append(job.name)
        try:
            yield
        finally:
            self.steps.append(f"{job.name} ends")

    def run_job(self, _: object, job: Job, show: Callable[[str], None]) -> int:
        step = job.command[1]
        self.jobs[step] = job
        self.steps.append(step)
        if step == self.fails:
            show(json.dumps({"level": "ERROR", "msg": "no space left"}))
            return 1
        pause = {"seconds": 12.3, "expired": False}
        show(json.dumps({"msg": "done", "counts": self.counts, "pause": pause}))
        return 0
