"""The plan of `make adopt`: what it shows, and what refuses it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from ops.adopt.original import Original
from ops.bootstrap.console import UserError, say
from ops.config import Config
from settings import parse
from settings.stack_file import Step, as_text, leaves, path_of

_SECRETS = (
    "registry:config",
    *(f"registry:{key}" for key in ("hashedPasswords", "passwords", "formerPasswords")),
)
"""Keys that are encrypted, wholly or in part, where the settings have them."""
Values = Mapping[str, Any]
"""Settings by full key; each is a text, a list or a map."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value in the stack's file."""

    path: str
    """Path, in the form of `pulumi config set --path`."""
    value: str = field(repr=False)
    is_secret: bool = False
    replaces: bool = False
    """The stack's file has another value there now."""

    def __str__(self) -> str:
        value = "[secret]" if self.is_secret else self.value
        return f"{self.path}: {value}" + (" (replaces another value)" if self.replaces else "")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The stack that the original becomes."""

    original: Original
    stack: str
    """Name of Pulumi's stack."""
    swarm_stack: str
    """Name of the Swarm stack."""
    volume: str | None
    """Volume with the images; None where they are in an object store."""
    node: str
    network: str
    values: Values = field(repr=False)
    """Settings that the stack's file gets."""
    secrets: Collection[tuple[Step, ...]] = ()
    """Paths below `values` that are secrets."""
    logins: str
    """Sentence that says which logins there will be."""
    files: Sequence[str] = ()
    """Files of the original that were read."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Reasons, by name of what isn't taken over."""
    obstacles: Sequence[str] = ()
    """Sentences about what would be lost; with one of them nothing is done."""
    configured: Values = field(default_factory=dict, repr=False)
    """Settings that the stack's file has now."""

    @property
    def in_place(self) -> bool:
        """The service itself is changed; otherwise it is stopped, and another one is made."""
        return self.original.is_service and self.original.name == f"{self.swarm_stack}_registry"

    @property
    def settings(self) -> Sequence[Setting]:
        """Values that are to be written."""
        now = {path_of(*path): as_text(value) for path, value in leaves(self.configured)}
        settings = []
        for path, value in leaves(self.values):
            text = as_text(value)
            full_path = path_of(*path)
            before = now.get(full_path)
            if before != text:
                setting = Setting(
                    path=full_path,
                    value=text,
                    is_secret=path in self.secrets,
                    replaces=before is not None,
                )
                settings.append(setting)
        return settings

    def show(self) -> None:
        """Print the plan, without the value of a secret."""
        original = self.original
        say(f"{original.name} ({original.image}) is to be Pulumi's stack {self.stack}:")
        for line in self._lines():
            say(f"  {line}")

    def _lines(self) -> Iterator[str]:
        name = self.original.name
        if self.in_place:
            yield f"service   {name} is changed in place, one task after the other"
        else:
            yield (
                f"service   {self.swarm_stack}_registry is made. {name} is stopped for it, started"
                " again if that fails, and not deleted"
            )
        if self.volume:
            yield f"images    stay in volume {self.volume} on {self.node}"
        else:
            yield "images    stay in their object store"
        left = [network for network in self.original.networks if network != self.network]
        yield f"network   {self.network}" + (f"; not {', '.join(left)}" if left else "")
        yield f"logins    {self.logins}"
        for file in self.files:
            yield f"read      {file}"
        yield f"settings  into Pulumi.{self.stack}.yaml:"
        for setting in self.settings:
            yield f"  {setting}"
        if self.left_out:
            yield "left out:"
        for part, reason in self.left_out.items():
            yield f"  {part}: {reason}"

    def check(self) -> None:
        """Raise UserError where something would be lost, or the settings would be refused."""
        if self.obstacles:
            lost = "".join(f"\n  - {each}" for each in self.obstacles)
            raise UserError(
                f"{self.original.name} can't be taken over as it is; nothing was touched:{lost}\n"
                "  What can be moved by hand: docs/moving-in.md"
            )
        config = Config.of(self.stack, overlaid(self.configured, self.values))
        try:
            settings = parse(config.values, _SECRETS.__contains__, self.stack)
        except pulumi.RunError as error:
            raise UserError(
                f"{error}\n  These are the settings that Pulumi.{self.stack}.yaml would have."
                " Correct there what the file has already; for the rest, change the original first"
            ) from None
        if settings.hashed_passwords and settings.policy == "mandatory":
            raise UserError(
                "LOGINS=keep leaves hashes in a label, which registry:policy mandatory forbids;"
                " nothing was touched. Set registry:auth token, which puts them into a secret,"
                " leave LOGINS out for new passwords, or let registry:policy be advisory"
            )


def overlaid(base: Any, overrides: Any) -> Any:
    """Return `base` with the values of `overrides` set in it as by `pulumi config set --path`."""
    if isinstance(base, Mapping) and isinstance(overrides, Mapping):
        merged = {name: overlaid(base.get(name), value) for name, value in overrides.items()}
        return {**base, **merged}
    if isinstance(base, list) and isinstance(overrides, list):
        return [*overrides, *base[len(overrides) :]]
    return overrides
