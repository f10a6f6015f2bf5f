"""What is wrong with a stack's settings, each with the command that mends it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from settings.stack_file import full_key, key_of


class Problems:
    """Gathers what is wrong with the settings of a stack."""

    def __init__(self, stack: str, former_keys: Mapping[str, str]) -> None:
        """Begin with none; `former_keys` are the names that the stack has instead of others."""
        self.stack = stack
        self._former_keys = former_keys
        self.problems: list[str] = []
        self.warnings: list[str] = []
        """Problems that don't stop a deployment yet."""

    def full_key(self, path: str) -> str:
        """Return a key, or a path that begins with one, by the name that the stack has."""
        name = key_of(path)
        return self._former_keys.get(full_key(name), full_key(name)) + path[len(name) :]

    def problem(
        self, key: str, reason: str, example: str | None = None, path: bool = False
    ) -> None:
        """Note what is wrong with `key`, and how to set it to `example`."""
        line = f"{self.full_key(key)} {reason}"
        if example is not None:
            line += f"\n      {self.command('set', key, path)} {shlex.quote(example)}"
        self.problems.append(line)

    def remove(self, key: str, reason: str) -> None:
        """Note what is wrong with `key`, and how to take it out."""
        command = self.command("rm", key, path=not key.isalnum())
        self.problems.append(f"{self.full_key(key)} {reason}\n      {command}")

    def owned(self, key: str, paths: Iterable[str]) -> None:
        """Note the `paths` below `key` that aren't the user's to set."""
        reason = "can't be set: this program owns it, and another value would break the deployment."
        for path in paths:
            self.remove(f"{key}.{path}", reason)

    def command(self, verb: str, key: str, path: bool = False, flags: str = "") -> str:
        """Return what to type about `key`."""
        if verb == "set" and key.endswith(".until"):
            # Below a key with `password` in it, Pulumi takes many a moment for a secret.
            flags += " --plaintext"
        options = f"--stack {self.stack}{' --path' if path else ''}{flags}"
        return f"pulumi config {verb} {options} {shlex.quote(self.full_key(key))}"

    def report(self) -> str | None:
        """Return all problems as one message; None when there is none."""
        if not self.problems:
            return None
        count = len(self.problems)
        subject = "One setting" if count == 1 else f"{count} settings"
        verb = "is" if count == 1 else "are"
        body = "\n".join(f"  - {problem}" for problem in self.problems)
        return f"{subject} of stack {self.stack} {verb} wrong; nothing was touched:\n{body}"
