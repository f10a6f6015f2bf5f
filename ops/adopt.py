"""A registry that docker-compose or `docker stack` runs, taken over: `make adopt STACK=… FROM=…`.

What it is told becomes settings; its volume, node and network stay what they are. A service of the
right name is changed in place. Anything else is stopped right before the deployment, and started
again when that fails. Nothing is deleted.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.registry_config import DATA_PATH, may_be_set
from ops import stack, state, virtualenv
from ops.console import LIMIT_SECONDS, Problem, run, say
from ops.toolchain import ROOT

VARIABLE = "REGISTRY_"
"""Prefix of the variables that set the registry's configuration."""
PROJECT_LABEL = "com.docker.compose.project"

_Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """A running registry."""

    name: str
    id: str
    is_service: bool
    node: str
    """Node that its volume is on."""
    image: str
    labels: Mapping[str, str]
    variables: Mapping[str, str]
    volume: str

    @property
    def settings(self) -> dict[str, str]:
        """Settings that say the same."""
        told = {**_routing(self.labels), "volumeName": self.volume, "volumeNode": self.node}
        return {f"registry:{key}": value for key, value in told.items()}

    @property
    def config(self) -> dict[str, str]:
        """Paths in the registry's configuration, from its variables, as far as a user sets them."""
        return {
            _indexed(path): value for path, value in self._variables.items() if may_be_set(path)
        }

    @property
    def left_out(self) -> list[str]:
        """Paths of its variables that this program decides, or that a registry 3 doesn't know."""
        return sorted(path for path in self._variables if not may_be_set(path))

    @property
    def _variables(self) -> dict[str, str]:
        return {
            name.removeprefix(VARIABLE).lower().replace("_", "."): value
            for name, value in self.variables.items()
            if name.startswith(VARIABLE)
        }

    @property
    def logins(self) -> dict[str, str]:
        """Hashes by user that Traefik asks for."""
        lines = [
            line
            for key, value in self.labels.items()
            if key.lower().endswith(".basicauth.users")
            for line in value.split(",")
        ]
        return dict(line.split(":", 1) for line in lines if ":" in line)


def _indexed(path: str) -> str:
    """Return `endpoints.0.name` as Pulumi writes it: `endpoints[0].name`."""
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", path)


@dataclass
class _Docker:
    """The docker command, told which engine."""

    host: Sequence[str] = field(default_factory=list)

    def __call__(self, *words: str) -> str:
        return run(["docker", *self.host, *words], timeout=120).strip()

    def inspect(self, kind: str, *names: str) -> list[_Raw]:
        return list(json.loads(self(kind, "inspect", *names))) if names else []


def adopt(name: str, source: str, keep_logins: bool) -> None:
    """Takes over the registry of the swarm stack or compose project `source` as stack `name`."""
    stack.init(name, new=True)
    host = state.config(name).get("docker:host")
    docker = _Docker(["--host", host] if host else [])
    found = find(docker, source)
    say(f"found {found.name} ({found.image}), its images in volume {found.volume} on {found.node}")
    in_place = found.is_service and found.name == f"{source}_registry"
    settings = {"registry:stackName": source, "registry:proxy": "none", **found.settings}
    for key, value in settings.items():
        say(f"  {key}: {value}")
        run(["pulumi", "config", "set", "--stack", name, key, value])
    for path, value in found.config.items():
        key = f"registry:config.{path}"
        say(f"  {key}: {value}")
        run(["pulumi", "config", "set", "--stack", name, "--path", key, value])
    for path in found.left_out:
        say(f"  {path}: left out, since this program decides it, or no registry 3 knows it")
    _take_logins(name, found, keep_logins)
    _check(name)
    if in_place:
        # Two steps, so that each is a change that Swarm can undo.
        say(f"{found.name}: leaving all networks but {settings['registry:network']}")
        environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
        settled = ("-m", "ops.settle", found.id, settings["registry:network"])
        python = virtualenv.FOLDER / "bin" / "python"
        # It waits for the service as long as other commands may take in all.
        run([python, *settled], cwd=ROOT, env=environment, timeout=2 * LIMIT_SECONDS)
        stack.deploy(name, taken={found.name: found.id})
    else:
        # What would fail is found while the old one still runs.
        stack.preview(name)
        _stop(docker, found)
        try:
            stack.deploy(name)
        except (Problem, KeyboardInterrupt):
            _start(docker, found)
            raise
    _tell(name, source, found, in_place)


def find(docker: _Docker, source: str) -> Found:
    """The one registry of `source`; a Problem that says why there is none, or which there are."""
    services = docker(
        "service", "ls", "-q", "--filter", f"label={stack.STACK_LABEL}={source}"
    ).split()
    containers = docker("ps", "-q", "--filter", f"label={PROJECT_LABEL}={source}").split()
    candidates = [_service(raw) for raw in docker.inspect("service", *services)]
    candidates += [_container(raw) for raw in docker.inspect("container", *containers)]
    if not candidates:
        raise Problem(
            f"FROM={source}: no swarm stack and no compose project of this name runs here;"
            " see `docker stack ls` and `docker compose ls`"
        )
    registries = [each for each in candidates if _is_registry(each["image"])]
    if len(registries) != 1:
        names = ", ".join(each["name"] for each in registries or candidates)
        raise Problem(
            f"{source} has {len(registries)} registries, and one is needed; it has: {names}"
        )
    (registry,) = registries
    return Found(
        name=registry["name"],
        id=registry["id"],
        is_service=registry["service"],
        node=_node(docker, registry),
        image=registry["image"],
        labels=registry["labels"],
        variables=registry["variables"],
        volume=_volume(registry),
    )


def _is_registry(image: str) -> bool:
    return re.search(r"(^|/)(registry|distribution)(:|@|$)", image) is not None


def _service(raw: _Raw) -> dict[str, Any]:
    spec = raw["Spec"]
    container = spec["TaskTemplate"]["ContainerSpec"]
    return {
        "name": spec["Name"],
        "id": raw["ID"],
        "service": True,
        "image": container["Image"].partition("@")[0],
        "labels": {**container.get("Labels", {}), **spec.get("Labels", {})},
        "variables": _variables(container),
        "mounts": [
            (mount["Type"], mount.get("Source", ""), mount["Target"])
            for mount in container.get("Mounts") or []
        ],
    }


def _container(raw: _Raw) -> dict[str, Any]:
    return {
        "name": raw["Name"].lstrip("/"),
        "id": raw["Id"],
        "service": False,
        "image": raw["Config"]["Image"].partition("@")[0],
        "labels": raw["Config"].get("Labels") or {},
        "variables": _variables(raw["Config"]),
        "mounts": [
            (mount["Type"], mount.get("Name") or mount["Source"], mount["Destination"])
            for mount in raw["Mounts"]
        ],
    }


def _variables(container: _Raw) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in container.get("Env") or [] if "=" in pair)


def _volume(registry: Mapping[str, Any]) -> str:
    """Name of the volume with the images; a Problem when they are elsewhere."""
    key = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"
    root = registry["variables"].get(key, DATA_PATH).rstrip("/")
    for kind, source, target in registry["mounts"]:
        if target.rstrip("/") == root and kind == "volume":
            return str(source)
        if target.rstrip("/") == root:
            raise Problem(
                f"the images of {registry['name']} are in the folder {source}, and not in a volume:"
                f" copy them into one first (docker volume create images; docker run --rm -v"
                f" {source}:/from -v images:/to busybox cp -a /from/. /to), and mount that there"
            )
    raise Problem(
        f"{registry['name']} has no volume at {root}: its images are in the container itself, or"
        " in an object store (then set registry:config.storage, and deploy)"
    )


def _node(docker: _Docker, registry: Mapping[str, Any]) -> str:
    if not registry["service"]:
        return docker("info", "--format", "{{.Swarm.NodeID}}")
    running = ("--filter", "desired-state=running", "--format", "{{.Node}}")
    nodes = docker("service", "ps", registry["id"], *running).split()
    if len(nodes) != 1:
        raise Problem(f"{registry['name']} runs on {len(nodes)} nodes, and its volume is on one")
    return nodes[0]


def _routing(labels: Mapping[str, str]) -> dict[str, str]:
    """Settings of the route that the labels for Traefik describe."""
    lower = {key.lower(): value for key, value in labels.items()}
    rules = {key: value for key, value in lower.items() if re.search(r"routers\..*\.rule$", key)}
    hosts = {host for rule in rules.values() for host in re.findall(r"Host\(`([^`]+)`\)", rule)}
    if len(hosts) != 1:
        what = ", ".join(sorted(hosts)) or "none"
        raise Problem(f"one host name is needed in its labels for Traefik, and there is: {what}")
    found = {"domain": hosts.pop(), "network": "traefik-public"}
    secure = [key for key in rules if lower.get(key.replace(".rule", ".tls")) == "true"]
    plain = [key for key in rules if key not in secure]
    routers = [key.split(".")[3] for key in [*secure, *plain]]
    found["traefikTag"] = re.sub(r"-https?$", "", routers[0])
    if secure:
        prefix = secure[0].removesuffix(".rule")
        resolver = lower.get(f"{prefix}.tls.certresolver")
        found |= {"https": "acme", "certResolver": resolver} if resolver else {"https": "own"}
        found |= _named("httpsEntryPoint", lower.get(f"{prefix}.entrypoints"))
    else:
        found["https"] = "none"
    for key in plain:
        prefix = key.removesuffix(".rule")
        found |= _named("entryPoint", lower.get(f"{prefix}.entrypoints"))
        middlewares = lower.get(f"{prefix}.middlewares", "").split(",")
        redirects = [name for name in middlewares if "redirect" in name]
        found |= _named("redirectMiddleware", redirects[0] if redirects and secure else None)
    for key in ("traefik.docker.network", "traefik.swarm.network"):
        if key in lower:
            found |= {"network": lower[key], "networkLabel": key}
    for key, value in lower.items():
        if re.fullmatch(r"(traefik\.)?[a-z.-]*(constraint|tags?)[a-z.-]*", key):
            found |= {"constraintLabel": key, "publicTag": value}
    return found


def _named(key: str, value: str | None) -> dict[str, str]:
    return {key: value} if value else {}


def _take_logins(name: str, found: Found, keep: bool) -> None:
    if not found.logins:
        return
    users = ", ".join(found.logins)
    if not keep:
        say(
            f"logins of {users}: the registry can't use their hashes, so there will be a new"
            " password (or, with LOGINS=keep, Traefik goes on asking for the old ones)"
        )
        return
    say(f"logins of {users}: kept, Traefik asks for them as before")
    for user, text in found.logins.items():
        key = f'registry:hashedPasswords["{user}"]'
        run(["pulumi", "config", "set", "--stack", name, "--path", "--secret", key], stdin=text)


def _check(name: str) -> None:
    """Raise a Problem when the program would refuse the settings; nothing is changed yet."""
    check = [str(virtualenv.FOLDER / "bin" / "python"), "-m", "ops.settings_check", name]
    if subprocess.run(check, cwd=ROOT, check=False, timeout=120).returncode != 0:
        raise Problem(
            f"nothing has been changed on the swarm; mend Pulumi.{name}.yaml, and adopt again"
        )


def _stop(docker: _Docker, found: Found) -> None:
    say(f"stopping {found.name}")
    if found.is_service:
        docker("service", "scale", "--detach=false", f"{found.id}=0")
    else:
        docker("stop", found.id)


def _start(docker: _Docker, found: Found) -> None:
    say(f"starting {found.name} again, since the deployment failed")
    if found.is_service:
        docker("service", "scale", "--detach", f"{found.id}=1")
    else:
        docker("start", found.id)


def _tell(name: str, source: str, found: Found, in_place: bool) -> None:
    stays = (
        f"`docker stack deploy` and `docker stack rm {source}` would undo it: put the files away"
        if in_place
        else f"{found.name} is stopped, and not deleted: its volume is in use from now on"
    )
    say(f"{source} is Pulumi's stack {name} now. {stays}.")
