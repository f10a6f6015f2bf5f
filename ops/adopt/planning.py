"""The plan of `make adopt`, made from the registry that runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ops.adopt.configuration import Configuration, read_configuration
from ops.adopt.logins import Logins, describe_logins, read_logins
from ops.adopt.original import Mount, Original, Read
from ops.adopt.plan import Plan, Values, overlaid
from ops.adopt.route import Routing, read_routing
from ops.config import Config
from settings.secrecy import secrets_in
from settings.stack_file import Step, leaves


def make_plan(
    original: Original,
    source: str,
    stack: str,
    node: str,
    read: Read,
    *,
    logins: str | None = None,
    configured: Values | None = None,
) -> Plan:
    """Return the plan to take over `original` as `stack`; nothing is changed.

    `source` is the name of its swarm stack or compose project, `configured` what the stack's file
    has. `logins` is `keep`, `new`, or None: new ones, unless some can't be read.
    """
    configured = configured or {}
    configuration = read_configuration(original, read)
    routing = read_routing(original.labels)
    old_logins = read_logins(configuration, routing, read, logins)
    obstacles = [*configuration.obstacles, *routing.obstacles, *old_logins.obstacles]
    volume = None
    if configuration.keeps_files:
        volume = _volume(original, configuration.root)
        obstacles += _volume_obstacles(original, configuration.root)
    swarm_stack = swarm_stack_of(original, source)
    values = {
        "registry:stackName": swarm_stack,
        "registry:proxy": "none",
        **{f"registry:{key}": value for key, value in routing.settings.items()},
        **({"registry:volumeName": volume, "registry:volumeNode": node} if volume else {}),
        **_other_values(original, configuration, routing),
        **_login_values(old_logins, logins, Config.of(stack, configured)),
    }
    htpasswd = [configuration.htpasswd] if configuration.htpasswd and old_logins.hashes else []
    return Plan(
        original=original,
        stack=stack,
        swarm_stack=swarm_stack,
        volume=volume,
        node=node,
        network=Config.of(stack, overlaid(configured, values)).network,
        values=values,
        secrets=list(_secrets(configuration, values)),
        logins=describe_logins(
            configuration,
            routing,
            old_logins,
            logins,
            tokens=Config.of(stack, configured).asks_tokens,
        ),
        files=[*configuration.files, *htpasswd],
        left_out={
            **configuration.left_out,
            **routing.left_out,
            **_left_out(original, configuration, volume),
        },
        obstacles=obstacles,
        configured=configured,
    )


def swarm_stack_of(original: Original, source: str) -> str:
    """Return the name of the Swarm stack that `source` becomes; a project's may have a `_`."""
    return source if original.is_service else re.sub(r"[^a-z0-9-]", "-", source.lower())


def _other_values(original: Original, configuration: Configuration, routing: Routing) -> Values:
    values: dict[str, Any] = {}
    if original.replicas > 1:
        values["registry:replicas"] = str(original.replicas)
    if routing.middlewares:
        values["registry:middlewares"] = list(routing.middlewares)
    if configuration.config:
        values["registry:config"] = configuration.config
    return values


def _login_values(logins: Logins, choice: str | None, configured: Config) -> Values:
    users = sorted(logins.hashes)
    if choice == "keep" and users:
        return {"registry:hashedPasswords": logins.hashes}
    if users and users != sorted(configured.users()):
        return {"registry:users": users}
    return {}


def _secrets(configuration: Configuration, values: Values) -> Iterator[tuple[Step, ...]]:
    """Yield the paths below `values` that are secrets."""
    yield from (("registry:config", *path) for path in secrets_in(configuration.config))
    yield from (path for path, _ in leaves(values) if path[0] == "registry:hashedPasswords")


def _left_out(
    original: Original, configuration: Configuration, volume: str | None
) -> Mapping[str, str]:
    """Return the ports, hosts and mounts that aren't taken over, with reasons."""
    ports = {f"port {port}": "clients come through Traefik" for port in original.ports}
    hosts = {f"host {entry}": "there is no setting for it" for entry in original.hosts}
    mounts = {
        f"{mount.kind} at {mount.target}": "this program mounts its own files alone"
        for mount in original.mounts
        if not _is_taken_over(mount, configuration, volume)
    }
    return ports | hosts | mounts


def _is_taken_over(mount: Mount, configuration: Configuration, volume: str | None) -> bool:
    files = [*configuration.files, *filter(None, [configuration.htpasswd])]
    is_images = mount.kind == "volume" and mount.source == volume
    return is_images or any(mount.covers(path) for path in files)


def _mount_at(original: Original, root: str) -> Mount | None:
    """Return the mount whose target is `root`."""
    mounts = (mount for mount in original.mounts if mount.target.rstrip("/") == root)
    return next(mounts, None)


def _volume(original: Original, root: str) -> str | None:
    """Return the name of the volume with the images in `root`; None where they are elsewhere."""
    mount = _mount_at(original, root)
    return mount.source if mount and mount.kind == "volume" else None


def _volume_obstacles(original: Original, root: str) -> Iterator[str]:
    """Yield why the images in `root` can't stay where they are."""
    for target in (mount.target.rstrip("/") for mount in original.mounts):
        if target.startswith(f"{root}/"):
            yield f"a part of its images is in a mount of its own, {target}"
    mount = _mount_at(original, root)
    if mount is None:
        yield (
            f"{original.name} has no volume at {root}: its images are in the container itself, or"
            " in a folder of a larger volume. Mount a volume with them there first"
        )
        return
    if mount.has_driver:
        yield (
            f"volume {mount.source} has a driver or options of its own: they are"
            " registry:volumeDriver and registry:volumeOptions"
        )
    if mount.kind != "volume":
        yield (
            f"the images of {original.name} are in the folder {mount.source}, and not in a volume:"
            f" copy them into one first (docker volume create images; docker run --rm -v"
            f" {mount.source}:/from -v images:/to busybox cp -a /from/. /to), and mount that there"
        )
