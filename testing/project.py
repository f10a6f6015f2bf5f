"""The program as a user has it: a copy of its files, the real CLI, a backend of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAM = (
    *("__main__.py", "deployment.py", "settings", "components", "requirements.txt"),
    *("ops", "Makefile", "policy"),
    "images",
)
LIMIT_S = 600
"""Time limit of one command, such as a deployment, seconds."""


@dataclass(frozen=True)
class Result:
    """Result of a command that has ended."""

    code: int
    text: str
    """stdout and stderr as a person sees them."""
    out: str = ""
    """stdout alone, of a command that says its progress on stderr."""


class CommandError(Exception):
    """A command that should have worked, with all that it said."""


class Project:
    """One checkout, of the project in `source`. Deploys to the engine at `host`."""

    def __init__(self, folder: Path, host: str, source: Path = ROOT) -> None:
        self.folder = folder
        self.state = folder / "state"
        self._outputs: dict[tuple[str, int, int], dict[str, Any]] = {}
        self.state.mkdir(parents=True)
        for path in source.glob("Pulumi*.yaml"):
            # The key of secrets that a deployment from the checkout notes isn't this backend's.
            lines = path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith("encryptionsalt:")]
            (folder / path.name).write_text("".join(kept))
        # Not what a developer has made of it in the checkout that the tests are in.
        if (example := source / "Pulumi.local.example.yaml").exists():
            shutil.copy(example, folder / "Pulumi.local.yaml")
        self.install(source)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        self.environment = {
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase for tests",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "DOCKER_HOST": host,
        }
        # What a shell may have from `make exports` of the checkout that the tests are in.
        for name in ("DOCKER_CONTEXT", "PULUMI_RUN_PROGRAM", "PULUMI_CONFIG_PASSPHRASE_FILE"):
            self.environment.pop(name, None)

    def install(self, source: Path) -> None:
        """Have the program as it is in `source`, in place of the one before; settings stay."""
        for name in PROGRAM:
            old, new = self.folder / name, source / name
            if old.is_dir():
                shutil.rmtree(old)
            if new.is_dir():
                shutil.copytree(new, old, ignore=shutil.ignore_patterns("__pycache__"))
            elif new.exists():  # An old version hasn't all that there is today.
                shutil.copy(new, old)

    def pulumi(self, *args: str, stdin: str | None = None) -> Result:
        """Run `pulumi ARGS`, whether it works or fails."""
        done = subprocess.run(
            ["pulumi", *args, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return Result(done.returncode, done.stdout)

    def ok(self, *args: str, stdin: str | None = None) -> str:
        """Run `pulumi ARGS`, which must work."""
        result = self.pulumi(*args, stdin=stdin)
        if result.code != 0:
            raise CommandError(f"pulumi {' '.join(args)}:\n{result.text}")
        return result.text

    def init(self, stack: str, values: Mapping[str, str] | None = None) -> None:
        """Make a stack by that name; `values` go into its file."""
        self.ok("stack", "init", stack)
        self.configure(stack, values or {})

    def configure(
        self, stack: str, values: Mapping[str, str], secrets: Mapping[str, str] | None = None
    ) -> None:
        """Set all that in one or two commands; keys with a dot or an index are paths."""
        commands: dict[bool, list[str]] = {}
        for flag, settings in (("--plaintext", values), ("--secret", secrets or {})):
            for key, value in settings.items():
                is_path = bool(re.search(r"[.\[]", key))
                commands.setdefault(is_path, []).extend([flag, f"{key}={value}"])
        for is_path, args in commands.items():
            path = ["--path"] if is_path else []
            self.ok("config", "set-all", "--stack", stack, *path, *args)

    def set(self, stack: str, key: str, value: str, *flags: str) -> None:
        """Set one key; with `--secret` among `flags` the value goes through stdin."""
        if "--secret" in flags:
            self.ok("config", "set", "--stack", stack, *flags, key, stdin=value)
        else:
            self.ok("config", "set", "--stack", stack, *flags, key, value)

    def unset(self, stack: str, key: str) -> None:
        """Remove a key, which may be a path."""
        self.ok("config", "rm", "--stack", stack, "--path", key)

    def remove(self, stack: str) -> None:
        """Destroy a stack and forget it."""
        self.ok("destroy", "--yes", "--stack", stack)
        self.ok("stack", "rm", "--yes", stack)

    def up(self, stack: str, *flags: str) -> str:
        """Run `pulumi up`, which must work; without the preview, which has tests of its own."""
        return self.ok("up", "--yes", "--skip-preview", "--stack", stack, *flags)

    def preview(self, stack: str, *flags: str) -> Result:
        """Run `pulumi preview`."""
        return self.pulumi("preview", "--stack", stack, *flags)

    def plan(self, stack: str, *flags: str) -> dict[str, Any]:
        """Return what `pulumi preview --json` prints: steps and diagnostics, among others."""
        done = subprocess.run(
            ["pulumi", "preview", "--json", "--stack", stack, *flags],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=LIMIT_S,
        )
        return dict(json.loads(done.stdout))

    def steps(self, stack: str, *flags: str) -> list[dict[str, Any]]:
        """Return the steps of a preview that change something."""
        return [step for step in self.plan(stack, *flags)["steps"] if step["op"] != "same"]

    def outputs(self, stack: str) -> dict[str, Any]:
        """Return all outputs, secrets too."""
        file = next(self.state.rglob(f"stacks/**/{stack}.json"))
        # Tests ask often, and each answer takes Pulumi a second.
        version = (stack, file.stat().st_mtime_ns, file.stat().st_ino)
        if version not in self._outputs:
            raw = self.ok("stack", "output", "--json", "--show-secrets", "--stack", stack)
            self._outputs[version] = dict(json.loads(raw))
        return self._outputs[version]

    def state_text(self) -> str:
        """Return all files of the backend, as they are on the disk."""
        files = (path for path in self.state.rglob("*") if path.is_file())
        return "\n".join(path.read_text(errors="replace") for path in files)


def changed(steps: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return `operation type name` of steps: `update docker:index/service:Service x`."""
    result = set()
    for step in steps:
        *_, kind, name = step["urn"].split("::")
        result.add(f"{step['op']} {kind.rpartition('$')[2]} {name}")
    return result
