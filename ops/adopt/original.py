"""The running registry that is taken over, as `docker inspect` shows it, and its files."""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docker.errors
import pulumi

from components.distribution.config import CONFIG_PATH
from components.swarm import NAMESPACE
from components.swarm.container_exec import execute
from components.swarm.engine import connected, find_engine
from ops import resume
from ops.bootstrap.console import UserError, run

PROJECT_LABEL = "com.docker.compose.project"
CONFIG_PATHS = (CONFIG_PATH, "/etc/docker/registry/config.yml")
"""Configuration files of registry 3 and of 2.8."""
_SECRETS_FOLDER = "/run/secrets"

_OFFICIAL = re.compile(r"((docker\.io/)?library/)?registry:|(ghcr\.io/)?distribution/distribution:")
"""Images whose configuration file has this program's defaults, and no logins."""

_Raw = Mapping[str, Any]
Read = Callable[[str], str | None]
"""Function that returns the text of a file as the original sees it; None where there is none.

It raises `UnreadableError` when the file can't be read from here."""


class UnreadableError(Exception):
    """A file can't be read from here; the message has the reason and what to type."""


@dataclass(frozen=True)
class Mount:
    """A file or folder that is mounted into a task or container."""

    kind: str
    """volume, bind, tmpfs, secret or config."""
    source: str
    """Name of a volume, folder or file of the node, id of a Swarm config or secret."""
    target: str
    has_driver: bool = False
    """The volume has a driver or options of its own."""

    def covers(self, path: str) -> bool:
        """Return whether `path` is the target or below it."""
        return f"{path}/".startswith(f"{self.target.rstrip('/')}/")


@dataclass(frozen=True, kw_only=True)
class Original:
    """A registry that runs, or that an interrupted run of `make adopt` has stopped."""

    name: str
    id: str
    is_service: bool
    image: str
    labels: Mapping[str, str]
    variables: Mapping[str, str]
    mounts: Sequence[Mount] = ()
    arguments: Sequence[str] = ()
    """Arguments of the image's entry point, where they aren't the image's own."""
    networks: Sequence[str] = ()
    """Names of the networks."""
    ports: Sequence[int] = ()
    """Published ports, which lead to it without Traefik."""
    hosts: Sequence[str] = ()
    """Extra entries of its hosts file."""
    restart: str = ""
    """Restart policy of a container of Compose."""
    replicas: int = 1
    is_deployed_by_us: bool = False
    """This program has deployed it."""
    is_stopped: bool = False

    def mount_of(self, path: str) -> Mount | None:
        """Return the mount that `path` is in, the innermost one."""
        covering = [mount for mount in self.mounts if mount.covers(path)]
        return max(covering, key=lambda mount: len(mount.target), default=None)

    @property
    def config_paths(self) -> Sequence[str]:
        """Possible paths of its configuration file, the likeliest first."""
        arguments = [arg for arg in self.arguments if re.search(r"^/.*\.ya?ml$", arg)]
        variable = self.variables.get("REGISTRY_CONFIGURATION_PATH")
        return [*arguments, *([variable] if variable else []), *CONFIG_PATHS]


class Docker:
    """The docker command, and calls of the engine's API that it lacks."""

    def __call__(self, *args: str) -> str:
        return run(["docker", *args], timeout=120).strip()

    def inspect(self, kind: str, *names: str) -> list[_Raw]:
        """Return what `docker KIND inspect` prints."""
        return list(json.loads(self(kind, "inspect", *names))) if names else []

    def read_file(self, container: str, path: str) -> str | None:
        """Return the text of a container's file; None where there is none."""
        with _client() as client:
            try:
                chunks, _ = client.get_archive(container, path)
                packed = b"".join(chunks)
            except docker.errors.NotFound:
                return None
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            member = tar.next()
            file = tar.extractfile(member) if member else None
            return file.read().decode(errors="replace") if file else None

    def printed(self, container: str, path: str) -> str | None:
        """Return the text of a file as a process in the container sees it; None if it can't."""
        with _client() as client:
            done = execute(client, container, ["cat", path], stderr=False)
        return done.output if done.code == 0 else None


def _client() -> Any:
    return connected(find_engine(None))


def find_registry(docker: Docker, source: str) -> Original:
    """Return the only registry of the swarm stack or compose project `source`; else a UserError."""
    label = f"label={NAMESPACE}={source}"
    services = docker("service", "ls", "-q", "--filter", label).split()
    containers = docker("ps", "-aq", "--filter", f"label={PROJECT_LABEL}={source}").split()
    networks = _networks(docker) if services else {}
    candidates = [_service(raw, networks) for raw in docker.inspect("service", *services)]
    candidates += [_container(raw) for raw in docker.inspect("container", *containers)]
    if not candidates:
        raise UserError(
            f"FROM={source}: no swarm stack and no compose project of this name runs here;"
            " see `docker stack ls` and `docker compose ls`"
        )
    registries = [each for each in candidates if _is_registry(each)]
    # After an interrupted run there are two: this program's, and the one that the run has stopped.
    chosen = (
        [each for each in registries if each.is_deployed_by_us]
        or [each for each in registries if not each.is_stopped]
        or registries
    )
    if len(chosen) != 1:
        names = ", ".join(each.name for each in chosen or candidates)
        raise UserError(
            f"{source} has {len(chosen)} registries, and one is needed; it has: {names}"
        )
    return chosen[0]


def node_of(docker: Docker, original: Original) -> str:
    """Return the node that it runs on."""
    if not original.is_service:
        return docker("info", "--format", "{{.Swarm.NodeID}}")
    running = ("--filter", "desired-state=running", "--format", "{{.Node}}")
    nodes = docker("service", "ps", original.id, *running).split()
    if len(nodes) != 1:
        raise UserError(f"{original.name} runs on {len(nodes)} nodes, and its volume is on one")
    return nodes[0]


def reader(docker: Docker, original: Original, node: str) -> Read:
    """Return a function that reads the files of `original`, which runs on `node`."""
    container = original.id
    if original.is_service:
        label = f"label=com.docker.swarm.service.id={original.id}"
        container = docker("ps", "-q", "--filter", label).partition("\n")[0]

    def read(path: str) -> str | None:
        mount = original.mount_of(path)
        if mount and mount.kind == "config":
            (config,) = docker.inspect("config", mount.source)
            return base64.b64decode(config["Spec"]["Data"]).decode(errors="replace")
        if not container and mount is None and _OFFICIAL.match(original.image):
            return None  # The image has neither logins nor settings of its own.
        if not container:
            raise UnreadableError(
                f"can't be read from here, since {original.name} runs on {node}. If that is a"
                f" manager, lead docker there (DOCKER_HOST=ssh://USER@{node}), and adopt again"
            )
        try:
            # The engine's API has an empty file in a Swarm secret's place.
            if mount is None or mount.kind != "secret":
                return docker.read_file(container, path)
            text = docker.printed(container, path)
        except pulumi.RunError as error:
            raise UnreadableError(f"can't be read: {error}") from error
        if text is None:
            raise UnreadableError("can't be read: there is no `cat` in the container")
        return text

    return read


def _is_registry(original: Original) -> bool:
    return re.search(r"(^|/)(registry|distribution)(:|@|$)", original.image) is not None


def _networks(docker: Docker) -> Mapping[str, str]:
    lines = docker("network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}").splitlines()
    return {key: name for key, _, name in (line.partition(" ") for line in lines)}


def _service(raw: _Raw, networks: Mapping[str, str]) -> Original:
    spec = raw["Spec"]
    task = spec["TaskTemplate"]
    container = task["ContainerSpec"]
    secrets, configs = container.get("Secrets") or [], container.get("Configs") or []
    mounts = [
        Mount(
            mount["Type"],
            mount.get("Source", ""),
            mount["Target"],
            bool((mount.get("VolumeOptions") or {}).get("DriverConfig")),
        )
        for mount in container.get("Mounts") or []
    ]
    mounts += [
        Mount("secret", each["SecretID"], _below(_SECRETS_FOLDER, each["File"]["Name"]))
        for each in secrets
        if each.get("File")
    ]
    mounts += [
        Mount("config", each["ConfigID"], _below("", each["File"]["Name"]))
        for each in configs
        if each.get("File")
    ]
    joined = [str(each["Target"]) for each in task.get("Networks") or []]
    replicas = ((spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas", 1)
    return Original(
        name=spec["Name"],
        id=raw["ID"],
        is_service=True,
        image=container["Image"].partition("@")[0],
        labels={**(container.get("Labels") or {}), **(spec.get("Labels") or {})},
        variables=_variables(container),
        mounts=mounts,
        arguments=[*(container.get("Command") or []), *(container.get("Args") or [])],
        networks=[networks.get(network, network) for network in joined],
        ports=[
            port["PublishedPort"]
            for port in (spec.get("EndpointSpec") or {}).get("Ports") or []
            if port.get("PublishedPort")
        ],
        hosts=container.get("Hosts") or [],
        replicas=replicas,
        is_deployed_by_us=any(
            mount.kind == "secret" and mount.target == CONFIG_PATH for mount in mounts
        )
        and any(re.fullmatch(resume.SECRETS, each["SecretName"]) for each in secrets),
        is_stopped=replicas == 0,
    )


def _container(raw: _Raw) -> Original:
    host = raw.get("HostConfig") or {}
    bound = [each for many in (host.get("PortBindings") or {}).values() for each in many or []]
    return Original(
        name=raw["Name"].lstrip("/"),
        id=raw["Id"],
        is_service=False,
        image=raw["Config"]["Image"].partition("@")[0],
        labels=raw["Config"].get("Labels") or {},
        variables=_variables(raw["Config"]),
        mounts=[
            Mount(mount["Type"], mount.get("Name") or mount["Source"], mount["Destination"])
            for mount in raw["Mounts"]
        ],
        arguments=raw.get("Args") or [],
        networks=list((raw.get("NetworkSettings") or {}).get("Networks") or {}),
        ports=[int(each["HostPort"]) for each in bound if each.get("HostPort")],
        hosts=host.get("ExtraHosts") or [],
        restart=(host.get("RestartPolicy") or {}).get("Name", ""),
        is_stopped=(raw.get("State") or {}).get("Running") is False,
    )


def _below(folder: str, name: str) -> str:
    return name if name.startswith("/") else f"{folder}/{name}"


def _variables(container: _Raw) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in container.get("Env") or [] if "=" in pair)
