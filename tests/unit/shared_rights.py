"""Jobs of CI services, run as they would be."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.bootstrap import ROOT

GITLAB = yaml.safe_load((ROOT / ".gitlab-ci.example.yml").read_text())
COMMIT = "1" * 40


def scopes() -> dict[str, str]:
    """Return the environment scopes on GitLab by variable, as the documentation has them."""
    usage = {}
    for line in (ROOT / "docs/environments-and-review.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and re.match(r"`[A-Z_]+`", cells[1]):
            for name in re.findall(r"`([A-Z_]+)`", cells[1]):
                usage[name] = cells[3]
    return usage


def value(name: str) -> str:
    """Return the value under a name."""
    return f"the {name} of deployments"


@dataclass
class Runner:
    """A machine on which a job runs."""

    folder: Path

    def __post_init__(self) -> None:
        shutil.copytree(ROOT / ".ci", self.folder / "checkout/.ci")
        (self.folder / "home").mkdir()
        self._program("make", f'echo "make $*" >>{self._log}; env >>{self._log}; echo {COMMIT}')
        self._program("git", f'echo "git $*" >>{self._log}')

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _program(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, script: str, variables: Mapping[str, str]) -> str:
        """Run commands; return their environments and the manager's key, "" on failure."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        files = {name: str(self.folder / name) for name in ("GITHUB_STEP_SUMMARY",)}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.folder / "checkout",
            env={"PATH": path, "HOME": str(self.folder / "home"), **files, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.output = done.stderr
        if done.returncode != 0:
            return ""
        known = self._log.read_text() if self._log.exists() else "nothing"
        key = self.folder / "home/.ssh/deployment"
        return known + (key.read_text() if key.exists() else "")


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Return a machine that has been used for nothing yet."""
    return Runner(tmp_path)


def evaluate(expression: str, context: Mapping[str, str]) -> str:
    """Return the value of a GitHub expression: names, texts, `==`, `&&` and `||`."""

    def term(text: str) -> str:
        text = text.strip()
        if "==" in text:
            left, right = map(term, text.split("=="))
            return "true" if left == right else ""
        if text.startswith("'"):
            return text.strip("'")
        kind, _, name = text.partition(".")
        return value(name) if kind in ("secrets", "vars") else context[text]

    def conjunction(text: str) -> str:
        values = list(map(term, text.split("&&")))
        return values[-1] if all(values) else ""

    return next(filter(None, map(conjunction, expression.split("||"))), "")


def steps(workflow: str, job: str, **context: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the commands of a job on GitHub, which offers all secrets, with their variables."""
    contexts = {
        **{"github.token": "the token of the job", "matrix.stack": "prod"},
        **{"github.event.repository.default_branch": "main", "github.ref_type": "branch"},
        **context,
    }

    def evaluated(text: str) -> str:
        return re.sub(r"\$\{\{(.*?)\}\}", lambda match: evaluate(match[1], contexts), text)

    file = yaml.safe_load((ROOT / f".github/workflows/{workflow}.yml").read_text())
    assert "env" not in file
    assert "env" not in file["jobs"][job]
    for step in file["jobs"][job]["steps"]:
        if "run" in step and ("if" not in step or evaluate(step["if"], contexts)):
            env = {name: evaluated(str(text)) for name, text in step.get("env", {}).items()}
            yield step["run"], env


def job_on_gitlab(runner: Runner, name: str, **variables: str) -> str:
    """Return what a job on GitLab gets, with variables stored as the documentation says."""
    job = GITLAB[name]
    base = GITLAB.get(job.get("extends", ""), {})
    variables_of = {**base.get("variables", {}), **job.get("variables", {})}
    job = {**base, **job}
    settings = {key: str(text) for key, text in variables_of.items()}
    stack = settings.setdefault("STACK", "prod")
    environment = job.get("environment", "")
    if isinstance(environment, dict):
        environment = environment["name"]
    environment = environment.replace("$STACK", stack)
    for variable, scope in scopes().items():
        patterns = re.findall(r"`([^`]+)`", scope)
        if any(fnmatch.fnmatch(environment, each) for each in patterns):
            # What is stored wins over what the file sets.
            settings[variable] = value(variable)
    lines: list[Any] = []
    for part in ("before_script", "script"):
        script = job.get(part, [])
        lines += [script] if isinstance(script, str) else script
    settings = {"CI_DEFAULT_BRANCH": "main", **settings, **variables}
    return runner.run("\n".join(lines), settings)
