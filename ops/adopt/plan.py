"""What `make adopt` is about to do: made from what runs, shown as a whole, and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

from ops.adopt import configuration, route
from ops.adopt.configuration import Configuration
from ops.adopt.original import Mount, Original, Read, UnreadableError
from ops.bootstrap.console import Problem, say
from settings import parse
from settings.secrecy import secrets_in
from settings.stack_file import as_text, leaves, path_of

Values = Mapping[str, Any]
"""Settings by full key: a text, or a list or map."""
_DEFAULT_USERS = ["admin"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value in the stack's file."""

    path: str
    """As `pulumi config set --path` takes it."""
    value: str = field(repr=False)
    is_secret: bool = False
    replaces: bool = False
    """The stack's file has something else there now."""

    def __str__(self) -> str:
        value = "[secret]" if self.is_secret else self.value
        return f"{self.path}: {value}" + (" (it says something else now)" if self.replaces else "")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What becomes of the original."""

    original: Original
    stack: str
    """Pulumi's stack."""
    swarm_stack: str
    """Name of the Swarm stack."""
    volume: str | None
    """Volume with the images; None where they are in an object store."""
    node: str
    network: str
    values: Values = field(repr=False)
    """What the stack's file is to have."""
    logins: str
    """What becomes of the logins, as a sentence."""
    files: Sequence[str] = ()
    """Files that were read."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Reasons by what stays behind."""
    obstacles: Sequence[str] = ()
    """What would be lost, each as a sentence; with one of them nothing is done."""
    configured: Values = field(default_factory=dict, repr=False)
    """What the stack's file has now."""

    @property
    def in_place(self) -> bool:
        """Whether the service itself goes on; else it is stopped, and another one made."""
        return self.original.is_service and self.original.name == f"{self.swarm_stack}_registry"

    @property
    def settings(self) -> Sequence[Setting]:
        """Each value that is to be written."""
        hidden = {("registry:config", *path) for path in secrets_in(self._config)}
        now = {path_of(*path): as_text(value) for path, value in leaves(self.configured)}
        settings = []
        for path, value in leaves(self.values):
            text = as_text(value)
            whole = path_of(*path)
            is_secret = path in hidden or path[0] == "registry:hashedPasswords"
            before = now.get(whole)
            if before != text:
                replaces = before is not None
                settings.append(
                    Setting(path=whole, value=text, is_secret=is_secret, replaces=replaces)
                )
        return settings

    @property
    def _config(self) -> Mapping[str, Any]:
        return self.values.get("registry:config") or {}

    def show(self) -> None:
        """Print all of it; no value of a secret, and nothing of a refused plan but why."""
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
        rest = [network for network in self.original.networks if network != self.network]
        yield f"network   {self.network}" + (f"; not {', '.join(rest)}" if rest else "")
        yield f"logins    {self.logins}"
        for file in self.files:
            yield f"read      {file}"
        yield f"settings  into Pulumi.{self.stack}.yaml:"
        for setting in self.settings:
            yield f"  {setting}"
        if self.left_out:
            yield "left out:"
        for what, reason in self.left_out.items():
            yield f"  {what}: {reason}"

    def check(self) -> None:
        """Raise a Problem where something would be lost, or the settings be refused."""
        if self.obstacles:
            lost = "".join(f"\n  - {each}" for each in self.obstacles)
            raise Problem(
                f"{self.original.name} can't be taken over as it is; nothing was touched:{lost}\n"
                "  What can be moved by hand: docs/moving-in.md"
            )
        values = laid_over(self.configured, self.values)
        secret = ("registry:config", "registry:hashedPasswords", "registry:passwords")
        raw = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
        }
        try:
            settings = parse(raw, lambda key: key in secret, self.stack)
        except pulumi.RunError as error:
            raise Problem(
                f"{error}\n  These are the settings that Pulumi.{self.stack}.yaml would have."
                " What it says itself is mended there; for the rest, change the original first"
            ) from None
        if settings.hashed_passwords and settings.policy == "mandatory":
            raise Problem(
                "LOGINS=keep leaves hashes in a label, which registry:policy mandatory forbids;"
                " nothing was touched. Leave LOGINS out for new passwords, or let registry:policy"
                " be advisory"
            )


def make(
    original: Original,
    source: str,
    stack: str,
    node: str,
    read: Read,
    *,
    logins: str | None = None,
    configured: Values | None = None,
) -> Plan:
    """Return what becomes of `original`; nothing is changed.

    `logins` is `keep`, `new`, or None: new ones, unless some can't be read. `configured` is what
    the stack's file has.
    """
    told = configuration.read(original, read)
    routing = route.read(original.labels)
    swarm_stack = swarm_stack_of(original, source)
    obstacles = [*told.obstacles, *routing.obstacles]
    left_out = {**told.left_out, **routing.left_out, **_surroundings(original)}
    volume = None
    if told.keeps_files:
        volume = _volume(original, told.root, obstacles)
    values: dict[str, Any] = {"registry:stackName": swarm_stack, "registry:proxy": "none"}
    values |= {f"registry:{key}": value for key, value in routing.settings.items()}
    if volume:
        values |= {"registry:volumeName": volume, "registry:volumeNode": node}
    if original.replicas > 1:
        values["registry:replicas"] = str(original.replicas)
    if routing.middlewares:
        values["registry:middlewares"] = list(routing.middlewares)
    if told.config:
        values["registry:config"] = told.config
    hashes = _hashes(told, routing, read, logins, obstacles)
    if logins == "keep" and hashes:
        values["registry:hashedPasswords"] = hashes
    elif hashes and sorted(hashes) != _users(configured or {}):
        values["registry:users"] = sorted(hashes)
    for mount in original.mounts:
        if _stays_behind(mount, told, volume):
            left_out[f"{mount.kind} at {mount.target}"] = "this program mounts its own files alone"
    return Plan(
        original=original,
        stack=stack,
        swarm_stack=swarm_stack,
        volume=volume,
        node=node,
        network=routing.settings.get("network", "traefik-public"),
        values=values,
        logins=_sentence(told, routing, hashes, logins),
        files=[*told.files, *([told.htpasswd] if told.htpasswd and hashes else [])],
        left_out=left_out,
        obstacles=obstacles,
        configured=configured or {},
    )


def swarm_stack_of(original: Original, source: str) -> str:
    """Return the name of the Swarm stack that `source` becomes; a project's may have a `_`."""
    return source if original.is_service else re.sub(r"[^a-z0-9-]", "-", source.lower())


def _users(configured: Values) -> list[str]:
    return sorted(configured.get("registry:users") or _DEFAULT_USERS)


def _surroundings(original: Original) -> Mapping[str, str]:
    """Return what stays behind of the container's surroundings, with reasons."""
    ports = {f"port {port}": "clients come through Traefik" for port in original.ports}
    hosts = {f"host {entry}": "there is no setting for it" for entry in original.hosts}
    return ports | hosts


def _stays_behind(mount: Mount, told: Configuration, volume: str | None) -> bool:
    read = [*told.files, *([told.htpasswd] if told.htpasswd else [])]
    is_images = mount.kind == "volume" and mount.source == volume
    return not is_images and not any(mount.covers(path) for path in read)


def _volume(original: Original, root: str, obstacles: list[str]) -> str | None:
    """Return the name of the volume with the images; an obstacle where they are elsewhere."""
    at_root = [mount for mount in original.mounts if mount.target.rstrip("/") == root]
    targets = [mount.target.rstrip("/") for mount in original.mounts]
    below = [target for target in targets if target.startswith(f"{root}/")]
    for target in below:
        obstacles.append(f"a part of its images is in a mount of its own, {target}")
    for mount in at_root:
        if mount.has_driver:
            obstacles.append(
                f"volume {mount.source} has a driver or options of its own: they are"
                " registry:volumeDriver and registry:volumeOptions"
            )
        if mount.kind == "volume":
            return mount.source
        obstacles.append(
            f"the images of {original.name} are in the folder {mount.source}, and not in a volume:"
            f" copy them into one first (docker volume create images; docker run --rm -v"
            f" {mount.source}:/from -v images:/to busybox cp -a /from/. /to), and mount that there"
        )
    if not at_root:
        obstacles.append(
            f"{original.name} has no volume at {root}: its images are in the container itself, or"
            " in a folder of a larger volume. Mount a volume with them there first"
        )
    return None


def _hashes(
    told: Configuration,
    routing: route.Routing,
    read: Read,
    logins: str | None,
    obstacles: list[str],
) -> Mapping[str, str]:
    """Return the hashes by user of who may log in; obstacles where they can't be read."""
    again = "With LOGINS=new there will be new passwords for registry:users"
    if routing.users_file and logins != "new":
        obstacles.append(
            f"the logins in {routing.users_file} would be lost: that is a file of Traefik's, which"
            f" can't be read from here. {again}"
        )
    if told.htpasswd is None:
        return routing.logins
    try:
        text = read(told.htpasswd)
    except UnreadableError as error:
        text = None
        reason = str(error)
    else:
        reason = "isn't there"
    if text is None:
        if logins != "new":
            obstacles.append(f"the logins in {told.htpasswd} would be lost: it {reason}. {again}")
        return routing.logins
    # The registry heeds no other hashes.
    lines = [line.split(":", 1) for line in text.split() if not line.startswith("#")]
    own = {line[0]: line[1] for line in lines if len(line) == 2 and line[1].startswith("$2")}
    # Where both ask, both have to let in.
    return {user: own[user] for user in own if not routing.logins or user in routing.logins}


def _sentence(
    told: Configuration, routing: route.Routing, hashes: Mapping[str, str], logins: str | None
) -> str:
    users = ", ".join(sorted(hashes))
    if not hashes and not told.htpasswd and not routing.users_file:
        return "nobody had to log in, and from now on everybody has to: registry:users"
    if not hashes:
        return "new passwords for registry:users; the old logins are given up"
    if logins != "keep":
        why = "" if told.htpasswd else "the registry can't use their hashes: "
        return f"of {users}: {why}new passwords (LOGINS=keep keeps the old ones)"
    kept = f"of {users}: kept, Traefik asks for them"
    if told.htpasswd:
        return f"{kept}, and the registry itself no longer; their hashes are in a label"
    return f"{kept} as before"


def laid_over(below: Any, over: Any) -> Any:
    """Return `below` with each value of `over` in its place, as `pulumi config set --path` does."""
    if isinstance(below, Mapping) and isinstance(over, Mapping):
        merged = {name: laid_over(below.get(name), value) for name, value in over.items()}
        return {**below, **merged}
    if isinstance(below, list) and isinstance(over, list):
        return [*over, *below[len(over) :]]
    return over
