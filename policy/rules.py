"""The policies: pure functions from a resource's inputs to what is wrong with them.

`inputs` are those of `docker:index/service:Service` and its like, in the provider's camelCase,
without what isn't known in a preview.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Inputs = Mapping[str, Any]

SERVICE = "docker:index/service:Service"
CONFIG = "docker:index/serviceConfig:ServiceConfig"
SOCKET = "/var/run/docker.sock"

_SECRET_NAME = re.compile(
    r"(passw(or)?d|passphrase|secret|token|credential|(api|access|private|account)[._-]?key)",
    re.IGNORECASE,
)
_POINTER = re.compile(r"(_FILE|file|path)$", re.IGNORECASE)
_HASH = re.compile(r"\$(apr1|1|5|6|2[abxy]|argon2\w*)\$\S{8,}|\{SHA\}\S{20,}")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_USERINFO = re.compile(r"\w+://[^/\s:@]+:[^/\s@]+@")


def no_plain_secrets(inputs: Inputs) -> Iterator[str]:
    """No password, key, token or hash where `docker service inspect` shows it."""
    for place, name, value in _texts(inputs):
        if what := _secret_in(name, value):
            yield f"{place} {name} has {what} in plain text: put it into a Swarm secret"


def no_secret_configs(inputs: Inputs) -> Iterator[str]:
    """No password, key, token or hash in a Swarm config, which every manager may read."""
    try:
        text = base64.b64decode(str(inputs.get("data", "")), validate=True).decode()
    except ValueError:
        return
    if what := _secret_in("", text):
        yield f"the config has {what} in it: make it a Swarm secret"


def stateful_services_pinned(inputs: Inputs) -> Iterator[str]:
    """A service with a volume starts on the volume's node and nowhere else."""
    constraints = _task(inputs).get("placement", {}).get("constraints", [])
    if any(re.match(r"node\.(labels\.\S+|id|hostname)\s*==", each) for each in constraints):
        return
    for mount in _mounts(inputs):
        options = mount.get("volumeOptions", {})
        if mount.get("type") == "volume" and not options.get("driverOptions"):
            yield (
                f"volume {mount.get('source')} is mounted, and no constraint ties the service to"
                " its node: a task elsewhere would start with an empty one. Add"
                " node.labels.STACK.VOLUME == true"
            )


def memory_limited(inputs: Inputs) -> Iterator[str]:
    """No service can take all of its node's memory."""
    limits = _task(inputs).get("resources", {}).get("limits", {})
    if not limits.get("memoryBytes"):
        yield "has no memory limit: set resources.limits.memoryBytes (registry:memory)"


def images_by_digest(inputs: Inputs) -> Iterator[str]:
    """An image is the one that was reviewed, whatever its tag leads to later."""
    image = _image(inputs)
    if image and "@sha256:" not in image:
        yield (
            f"image {image} has no digest. Where the engine reaches its registry the program adds"
            " it; else set name:tag@sha256:… (registry:image, registry:proxyImage)"
        )


def no_latest(inputs: Inputs) -> Iterator[str]:
    """An image has a tag, and one that doesn't move."""
    image = _image(inputs).partition("@")[0]
    tag = image.rpartition("/")[2].partition(":")[2]
    if image and tag in ("", "latest"):
        yield f"image {image} has {'the tag latest' if tag else 'no tag'}: name a version"


def updates_can_be_undone(inputs: Inputs) -> Iterator[str]:
    """An update that fails is rolled back, and Swarm can tell that it failed."""
    if inputs.get("updateConfig", {}).get("failureAction") != "rollback":
        yield "updateConfig.failureAction isn't rollback: a failed update would stay"
    if not inputs.get("rollbackConfig"):
        yield "has no rollbackConfig: say how the old tasks come back"
    container = _container(inputs)
    if not container.get("healthcheck", {}).get("tests"):
        yield "has no healthcheck: a task that hangs would count as running"
    if not container.get("stopGracePeriod"):
        yield "has no stopGracePeriod: the provider sends 0 s, which kills tasks at once"


def logs_rotated(inputs: Inputs) -> Iterator[str]:
    """Logs can't fill the node's disk."""
    driver = _task(inputs).get("logDriver", {})
    limited = "max-size" in driver.get("options", {})
    if driver.get("name") in (None, "json-file", "local") and not limited:
        yield "its logs grow without end: set logDriver.options max-size and max-file"


def ports_on_the_proxy_only(inputs: Inputs) -> Iterator[str]:
    """What comes from outside comes through the proxy, and with the client's address."""
    name = str(inputs.get("name", ""))
    for port in inputs.get("endpointSpec", {}).get("ports", []):
        # Numbers arrive as floats.
        published = int(port.get("publishedPort") or port.get("targetPort") or 0)
        if not name.endswith("_proxy"):
            yield f"publishes port {published}: only the proxy may; route it through Traefik"
        if port.get("publishMode") != "host":
            yield f"publishes port {published} by ingress, which hides clients' addresses: use host"


def socket_for_the_proxy_only(inputs: Inputs) -> Iterator[str]:
    """Whoever writes to Docker's socket owns the node."""
    for mount in _mounts(inputs):
        if str(mount.get("source", "")).endswith("docker.sock"):
            if not str(inputs.get("name", "")).endswith("_proxy"):
                yield "mounts Docker's socket: only the proxy may"
            if not mount.get("readOnly"):
                yield "mounts Docker's socket for writing: set readOnly"


def _task(inputs: Inputs) -> Inputs:
    return dict(inputs.get("taskSpec", {}))


def _container(inputs: Inputs) -> Inputs:
    return dict(_task(inputs).get("containerSpec", {}))


def _mounts(inputs: Inputs) -> Sequence[Inputs]:
    return list(_container(inputs).get("mounts", []))


def _image(inputs: Inputs) -> str:
    return str(_container(inputs).get("image", ""))


def _texts(inputs: Inputs) -> Iterator[tuple[str, str, str]]:
    """Place, name and value of whatever a service shows to all."""
    container = _container(inputs)
    for label in [*inputs.get("labels", []), *container.get("labels", [])]:
        yield "label", str(label.get("label", "")), str(label.get("value", ""))
    for name, value in container.get("env", {}).items():
        yield "variable", name, str(value)
    for part in ("commands", "args"):
        for word in container.get(part, []):
            name, _, value = str(word).lstrip("-").partition("=")
            yield "argument", name, value
    for name, value in _task(inputs).get("logDriver", {}).get("options", {}).items():
        yield "log option", name, str(value)


def _secret_in(name: str, value: str) -> str | None:
    if _PRIVATE_KEY.search(value):
        return "a private key"
    if _HASH.search(value):
        return "the hash of a password"
    if _USERINFO.search(value):
        return "an address with a password"
    last = re.split(r"[./]", name)[-1]
    named = _SECRET_NAME.search(last) and not _POINTER.search(last)
    if named and value and not value.startswith("/") and value not in ("true", "false"):
        return "a secret"
    return None
