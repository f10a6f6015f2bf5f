"""A registry that docker-compose or `docker stack` runs, taken over: `make adopt STACK=… FROM=…`.

What it is told becomes settings; its volume, node and network stay what they are. A service of the
right name is changed in place. Anything else is stopped right before the deployment, and started
again when that fails. Nothing is deleted, and nothing is touched where a login, a restriction or a
configuration would be lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.registry_config import DATA_PATH, may_be_set
from ops import stack, state, virtualenv
from ops.console import LIMIT_SECONDS, Problem, run, say
from ops.toolchain import ROOT
from policy.leaks import is_secret_setting

VARIABLE = "REGISTRY_"
"""Prefix of the variables that set the registry's configuration."""
PROJECT_LABEL = "com.docker.compose.project"
CONFIG_FOLDERS = ("/etc/docker/registry", "/etc/distribution")
"""Where a registry's configuration file is, of 2.8 and of 3."""
MIDDLEWARE = re.compile(r"traefik\.http\.middlewares\.([^.]+)\.([^.]+)\.")
_REPLACED = ("basicauth", "redirectscheme")
"""Kinds of middlewares that the settings have something for."""
_RULE = re.compile(r"Host\(`[^`]+`\)(\s*&&\s*PathPrefix\(`/v2/?`\))?")
"""Rules that a setting says: a name, or what is below /v2/ of it."""

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
    targets: Sequence[str] = ()
    """Where something is mounted: volumes, folders, files, Swarm secrets and configs. Of secrets
    a bare name is below /run/secrets."""
    restart: str = ""
    """Restart policy of a container of Compose."""

    def obstacles(self, logins: str | None, policy: str) -> list[str]:
        """Return what would be lost, each as a sentence; `logins` and `policy` are the user's."""
        return [
            *self._own_files(),
            *self._lost_logins(logins, policy),
            *self._lost_restrictions(),
        ]

    def _own_files(self) -> list[str]:
        files = [
            target
            for target in self.targets
            if any(f"{target}/".startswith(f"{folder}/") for folder in CONFIG_FOLDERS)
        ]
        return [
            f"{file} is a configuration of its own, which would be lost: only variables are read."
            " Move by hand instead: README.md, Moving in"
            for file in files
        ]

    def _lost_logins(self, logins: str | None, policy: str) -> list[str]:
        files = [
            value
            for name, value in self.variables.items()
            if name.upper() == "REGISTRY_AUTH_HTPASSWD_PATH"
        ]
        files += [
            value
            for key, value in self.labels.items()
            if key.lower().endswith(".basicauth.usersfile")
        ]
        found = [
            f"the logins in {file} would be lost: they can't be read from here. With LOGINS=new"
            " there will be new passwords for registry:users"
            for file in files
            if logins != "new"
        ]
        if logins == "keep" and self.logins and policy == "mandatory":
            found.append(
                "LOGINS=keep leaves hashes in a label, which registry:policy mandatory forbids."
                " Leave LOGINS out for new passwords, or let registry:policy be advisory"
            )
        return found

    def _lost_restrictions(self) -> list[str]:
        found = [
            f"the rule {rule} says more than a name, and there is no setting for that"
            for rule in sorted(set(_rules(self.labels).values()))
            if not _RULE.fullmatch(rule.strip())
        ]
        used = {each.lower().partition("@")[0] for each in self._middlewares}
        found += [
            f"middleware {name} ({kind}) is made by its labels, and would be gone. Define it in"
            f" Traefik's own configuration, name it there ({name}@file), and adopt again"
            for name, kind in sorted(self._own_middlewares.items())
            if kind not in _REPLACED and name in used
        ]
        return found

    @property
    def _own_middlewares(self) -> dict[str, str]:
        """Kinds of the middlewares that its labels make, by name."""
        matches = (MIDDLEWARE.match(key.lower()) for key in self.labels)
        return {match[1]: match[2] for match in matches if match}

    @property
    def _middlewares(self) -> list[str]:
        """Middlewares of its routers."""
        return [
            name.strip()
            for key, value in self.labels.items()
            if re.search(r"routers\..*\.middlewares$", key.lower())
            for name in value.split(",")
        ]

    @property
    def settings(self) -> dict[str, str]:
        """Settings that say the same."""
        told = {**_routing(self.labels), "volumeName": self.volume, "volumeNode": self.node}
        settings = {f"registry:{key}": value for key, value in told.items()}
        redirect = told.get("redirectMiddleware")
        # Those of others stay; a login and a redirect have settings of their own.
        kept = [
            name
            for name in dict.fromkeys(self._middlewares)
            if name and name.partition("@")[0] not in self._own_middlewares and name != redirect
        ]
        for index, name in enumerate(kept):
            settings[f"registry:middlewares[{index}]"] = name
        return settings

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


def adopt(name: str, source: str, logins: str | None) -> None:
    """Takes over the registry of the swarm stack or compose project `source` as stack `name`.

    `logins` is `keep`, `new`, or None: new ones, unless some would be lost without a word.
    """
    stack.init(name, new=True)
    host = state.config(name).get("docker:host")
    docker = _Docker(["--host", host] if host else [])
    found = find(docker, source)
    say(f"found {found.name} ({found.image}), its images in volume {found.volume} on {found.node}")
    in_place = found.is_service and found.name == f"{source}_registry"
    policy = state.config(name).get("registry:policy", "advisory")
    if obstacles := found.obstacles(logins, policy):
        lost = "".join(f"\n  - {each}" for each in obstacles)
        raise Problem(f"{found.name} can't be taken over as it is; nothing was touched:{lost}")
    settings = {"registry:stackName": source, "registry:proxy": "none", **found.settings}
    for key, value in settings.items():
        _set(name, key, value, secret=False)
    set_config(name, found)
    for path in found.left_out:
        say(f"  {path}: left out, since this program decides it, or no registry 3 knows it")
    _take_logins(name, found, keep=logins == "keep")
    _check(name)
    if in_place:
        # Two steps, so that each is a change that Swarm can undo.
        say(f"{found.name}: leaving all networks but {settings['registry:network']}")
        environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
        settled = ("-m", "ops.settle", found.id, settings["registry:network"], source)
        python = virtualenv.FOLDER / "bin" / "python"
        # It waits for the service as long as other commands may take in all.
        run([python, *settled], cwd=ROOT, env=environment, timeout=2 * LIMIT_SECONDS)
        stack.deploy(name, taken={found.name: found.id})
    else:
        # What would fail is found while the old one still runs.
        stack.preview(name)
        with stopped(docker, found, source):
            stack.deploy(name)
    _tell(name, source, found, in_place)


def set_config(name: str, found: Found) -> None:
    """Set the registry's configuration of stack `name` as the variables of `found` say."""
    for path, value in found.config.items():
        last = re.sub(r"\[\d+\]$", "", path).rpartition(".")[2]
        _set(name, f"registry:config.{path}", value, secret=is_secret_setting(last, value))


@contextlib.contextmanager
def stopped(docker: _Docker, found: Found, source: str) -> Iterator[None]:
    """Have the old registry stopped; start it again when the block fails, or is interrupted.

    Unless the new one runs by then: both would write to one volume.
    """
    _stop(docker, found)
    try:
        yield
    except BaseException:
        if _serves(docker, source):
            say(f"the new registry runs, so {found.name} stays stopped")
        else:
            _start(docker, found)
        raise


def _set(name: str, key: str, value: str, *, secret: bool) -> None:
    """Set a key of the stack; a secret is neither shown nor on a command line."""
    say(f"  {key}: {'[secret]' if secret else value}")
    path = ["--path"] if re.search(r"[.\[]", key) else []
    words = ["pulumi", "config", "set", "--stack", name, *path]
    if secret:
        run([*words, "--secret", key], stdin=value)
    else:
        run([*words, key, value])


def _serves(docker: _Docker, source: str) -> bool:
    """Return whether a task of the new registry runs."""
    running = ("--filter", "desired-state=running", "--format", "{{.CurrentState}}")
    try:
        return "Running" in docker("service", "ps", f"{source}_registry", *running)
    except Problem:
        return False


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
        targets=registry["targets"],
        restart=registry["restart"],
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
        "targets": [
            *(mount["Target"] for mount in container.get("Mounts") or []),
            *(
                each["File"]["Name"]
                for kind in ("Secrets", "Configs")
                for each in container.get(kind) or []
                if each.get("File")
            ),
        ],
        "restart": "",
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
        "targets": [mount["Destination"] for mount in raw["Mounts"]],
        "restart": ((raw.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name", ""),
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


def _rules(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the rules of routers by their labels, these in lower case."""
    lower = {key.lower(): value for key, value in labels.items()}
    return {key: value for key, value in lower.items() if re.search(r"routers\..*\.rule$", key)}


def _routing(labels: Mapping[str, str]) -> dict[str, str]:
    """Settings of the route that the labels for Traefik describe."""
    lower = {key.lower(): value for key, value in labels.items()}
    rules = _rules(labels)
    hosts = {host for rule in rules.values() for host in re.findall(r"Host\(`([^`]+)`\)", rule)}
    if len(hosts) != 1:
        what = ", ".join(sorted(hosts)) or "none"
        raise Problem(f"one host name is needed in its labels for Traefik, and there is: {what}")
    found = {"domain": hosts.pop(), "network": "traefik-public"}
    if any("PathPrefix" in rule for rule in rules.values()):
        found["sharedDomain"] = "true"
    secure = [key for key in rules if lower.get(key.replace(".rule", ".tls")) == "true"]
    plain = [key for key in rules if key not in secure]
    routers = [key.split(".")[3] for key in [*secure, *plain]]
    found["traefikTag"] = re.sub(r"-https?$", "", routers[0])
    if secure:
        prefix = secure[0].removesuffix(".rule")
        resolver = lower.get(f"{prefix}.tls.certresolver")
        found |= {"https": "acme", "certResolver": resolver} if resolver else {"https": "own"}
        found |= _named("httpsEntryPoint", lower.get(f"{prefix}.entrypoints"))
        found |= _named("tlsOptions", lower.get(f"{prefix}.tls.options"))
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
        _set(name, key, text, secret=True)


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
        # Else the next start of the engine would bring it back, on the same volume.
        docker("update", "--restart=no", found.id)
        docker("stop", found.id)


def _start(docker: _Docker, found: Found) -> None:
    say(f"starting {found.name} again, since the deployment failed")
    if found.is_service:
        docker("service", "scale", "--detach", f"{found.id}=1")
    else:
        docker("update", f"--restart={found.restart or 'no'}", found.id)
        docker("start", found.id)


def _tell(name: str, source: str, found: Found, in_place: bool) -> None:
    stays = (
        f"`docker stack deploy` and `docker stack rm {source}` would undo it: put the files away"
        if in_place
        else f"{found.name} is stopped, and not deleted: its volume is in use from now on"
    )
    say(f"{source} is Pulumi's stack {name} now. {stays}.")
