"""The policies: pure functions from a resource's inputs to what is wrong with them.

`inputs` are those of `docker:index/service:Service` and its like, in the provider's camelCase. A
value that isn't known in a preview is left out, or raises when it is read (see `__main__`).
"""

from __future__ import annotations

import base64
import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.swarm.location import is_shared
from policy.leaks import assigned, secret_in, secrets_in_args

Inputs = Mapping[str, Any]

SERVICE = "docker:index/service:Service"
CONFIG = "docker:index/serviceConfig:ServiceConfig"

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_HOLD_SOCKETS = ("/", "/var", "/var/run", "/run", "/run/containerd", "/var/run/containerd")
"""Folders with the socket of an engine in them."""
_OF_THE_NODE = ("/etc", "/proc", "/sys", "/boot", "/root", "/var/lib/docker", "/var/lib/containerd")
_FOR_ALL = ("/etc/localtime", "/etc/timezone", "/etc/ssl/certs", "/etc/pki/tls/certs")
"""Files of a node that tell nobody anything, and are mounted often."""
_PIN = re.compile(r"node\.(labels\.\S+\s*==\s*true|(id|hostname)\s*==\s*\S+)\s*$")


def no_plain_secrets(inputs: Inputs) -> Iterator[str]:
    """No password, key, token or hash where `docker service inspect` shows it."""
    for location, name, value in _texts(inputs):
        if kind := secret_in(name, value):
            yield f"{location} {name} has {kind} in plain text: put it into a Swarm secret"
    for location, args in _commands(inputs).items():
        for which, kind in secrets_in_args(args):
            yield (
                f"{location} {which} has {kind} in plain text: put it into a Swarm secret, or a"
                " file"
            )


def no_secret_configs(inputs: Inputs) -> Iterator[str]:
    """No password, key, token or hash in a Swarm config, which every manager may read."""
    try:
        text = base64.b64decode(str(inputs.get("data") or "")).decode(errors="replace")
    except ValueError:
        return
    names = sorted(set(assigned(text)))
    for name in names:
        yield f"the config has a secret in it, {name}: make it a Swarm secret"
    if not names and (kind := secret_in("", text)):
        yield f"the config has {kind} in it: make it a Swarm secret"


def stateful_services_pinned(inputs: Inputs) -> Iterator[str]:
    """A service with a volume starts on the volume's node and nowhere else."""
    kept = [data for mount in _mounts(inputs) if (data := _kept_on_node(mount))]
    constraints = _list(inputs, "taskSpec.placement.constraints") if kept else []
    if any(_PIN.match(each) for each in constraints):
        return
    for data in kept:
        yield (
            f"{data} is mounted, and no constraint ties the service to its node: a task elsewhere"
            " would start with an empty one. Add node.labels.STACK.VOLUME == true, or"
            " node.hostname == NODE"
        )


def _kept_on_node(mount: Inputs) -> str | None:
    """Return the volume or folder of a mount, if its data are on one node only."""
    kind, source = mount.get("type"), mount.get("source")
    if kind == "bind" and not mount.get("readOnly") and not _holds_socket(str(source)):
        return f"folder {source}"
    if kind != "volume":
        return None
    driver = _map(mount, "volumeOptions").get("driverName")
    options = _map(mount, "volumeOptions.driverOptions")
    return None if is_shared(driver, options) else f"volume {source or '(without a name)'}"


def memory_limited(inputs: Inputs) -> Iterator[str]:
    """No service can take all of its node's memory."""
    if not _map(inputs, "taskSpec.resources.limits").get("memoryBytes"):
        yield "has no memory limit: set resources.limits.memoryBytes (registry:memory)"


def images_by_digest(inputs: Inputs) -> Iterator[str]:
    """An image is the one that was reviewed, whatever its tag leads to later."""
    image = _image(inputs)
    if image and not _DIGEST.search(image):
        yield (
            f"image {image} has no digest: its registry wasn't reached. Name it in the setting"
            f" ({image}@sha256:…), or, where images are loaded by hand, leave this a warning"
        )


def no_latest(inputs: Inputs) -> Iterator[str]:
    """An image has a tag, and one that doesn't move."""
    image = _image(inputs).partition("@")[0]
    tag = image.rpartition("/")[2].partition(":")[2]
    if image and tag in ("", "latest"):
        yield f"image {image} has {'the tag latest' if tag else 'no tag'}: name a version"


def updates_can_be_undone(inputs: Inputs) -> Iterator[str]:
    """An update that fails is rolled back, and Swarm can tell that it failed."""
    if _map(inputs, "updateConfig").get("failureAction") != "rollback":
        yield "updateConfig.failureAction isn't rollback: a failed update would stay"
    if not inputs.get("rollbackConfig"):
        yield "has no rollbackConfig: say how the old tasks come back"
    tests = _list(inputs, "taskSpec.containerSpec.healthcheck.tests")
    if not tests or tests[0] == "NONE":
        yield "has no healthcheck: a task that hangs would count as running"
    grace = _map(inputs, "taskSpec.containerSpec").get("stopGracePeriod")
    if not re.search(r"[1-9]", str(grace or "")):
        yield "has no stopGracePeriod: the provider sends 0 s, which kills tasks at once"


def logs_rotated(inputs: Inputs) -> Iterator[str]:
    """Logs can't fill the node's disk."""
    # The default of `max-size` is -1: no limit.
    size = str(_map(inputs, "taskSpec.logDriver.options").get("max-size") or "")
    driver = _map(inputs, "taskSpec.logDriver").get("name")
    if driver in (None, "json-file", "local") and not re.match(r"[1-9]", size):
        yield "its logs grow without end: set logDriver.options max-size and max-file"


def ports_on_the_proxy_only(inputs: Inputs) -> Iterator[str]:
    """What comes from outside comes through the proxy, and with the client's address."""
    for port in _list(inputs, "endpointSpec.ports"):
        # Numbers arrive as floats.
        published = int(port.get("publishedPort") or port.get("targetPort") or 0)
        if not _is_traefik(inputs):
            yield f"publishes port {published}: only the proxy may; route it through Traefik"
        if port.get("publishMode") != "host":
            yield f"publishes port {published} by ingress, which hides clients' addresses: use host"
    for network in _list(inputs, "taskSpec.networksAdvanceds"):
        if "host" in (network.get("id"), network.get("name")) and not _is_traefik(inputs):
            yield "is on its node's own network, ports and all: join the stack's network"


def socket_for_the_proxy_only(inputs: Inputs) -> Iterator[str]:
    """Whoever writes to Docker's socket owns the node; and who has the node's own folders."""
    for mount in _mounts(inputs):
        source = str(mount.get("source") or "")
        if mount.get("type") == "volume":
            continue
        if _is_of_the_node(source):
            yield f"mounts {source}, which has the node's own secrets: mount what it needs alone"
        if _holds_socket(source):
            text = f"mounts {source}, and with it Docker's socket"
            if not str(inputs.get("name") or "").endswith("_proxy"):
                yield f"{text}: only the proxy may"
            if not mount.get("readOnly"):
                yield f"{text} for writing: set readOnly"


def _is_traefik(inputs: Inputs) -> bool:
    """Return whether it is a stack's Traefik, STACK_proxy; STACK_socket_proxy is no way in."""
    name = str(inputs.get("name") or "")
    return name.endswith("_proxy") and not name.endswith("_socket_proxy")


def _holds_socket(source: str) -> bool:
    """Return whether a path of the node is an engine's socket, or a folder that one is in."""
    path = posixpath.normpath(source)
    return path.endswith(("docker.sock", "containerd.sock")) or path in _HOLD_SOCKETS


def _is_of_the_node(source: str) -> bool:
    """Return whether a path of the node has its users, keys, processes or volumes."""
    path = posixpath.normpath(source)
    inside = any(path == folder or path.startswith(f"{folder}/") for folder in _OF_THE_NODE)
    return inside and path not in _FOR_ALL


def _map(inputs: Inputs, path: str) -> Inputs:
    """Return the map at `path`; an empty one where there is nothing."""
    for key in path.split("."):
        inputs = inputs.get(key) or {}
    return inputs


def _list(inputs: Inputs, path: str) -> Sequence[Any]:
    """Return the list at `path`; an empty one where there is nothing."""
    folder, _, last = path.rpartition(".")
    return (_map(inputs, folder) if folder else inputs).get(last) or []


def _mounts(inputs: Inputs) -> Sequence[Inputs]:
    return _list(inputs, "taskSpec.containerSpec.mounts")


def _image(inputs: Inputs) -> str:
    return str(_map(inputs, "taskSpec.containerSpec").get("image") or "")


def _texts(inputs: Inputs) -> Iterator[tuple[str, str, str]]:
    """Yield location, name and value of whatever a service shows to all."""
    labels = _list(inputs, "labels"), _list(inputs, "taskSpec.containerSpec.labels")
    for label in itertools.chain(*labels):
        yield "label", str(label.get("label", "")), str(label.get("value", ""))
    for name, value in _map(inputs, "taskSpec.containerSpec.env").items():
        yield "variable", name, str(value)
    for name, value in _map(inputs, "taskSpec.logDriver.options").items():
        yield "log option", name, str(value)


def _commands(inputs: Inputs) -> Mapping[str, Sequence[str]]:
    """Return the arguments of a service, by what they are part of."""
    container = _map(inputs, "taskSpec.containerSpec")
    command = [*_list(container, "commands"), *_list(container, "args")]
    options = (_map(mount, "volumeOptions.driverOptions") for mount in _mounts(inputs))
    args = {
        "argument": command,
        "health check's argument": _list(container, "healthcheck.tests"),
        # CIFS takes a password among them, or the name of a file.
        "volume option": [f"{key}={value}" for each in options for key, value in each.items()],
    }
    return {location: [str(word) for word in each] for location, each in args.items()}
