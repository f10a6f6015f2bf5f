"""Why a task can't run: what engines and Swarm write of it, what that means, and what to do.

The patterns are of the texts of engines 20.10 to 28. The engine's own text is always shown too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

LONGEST = 240
"""Characters of the engine's text that are shown. Its end names the cause, so that is kept."""


class Cause(Enum):
    """Kinds of causes, as far as what helps against them differs."""

    PORT = auto()
    """A port that the task publishes is taken on its node."""
    IMAGE = auto()
    """The node has no such image and couldn't pull it."""
    DISK = auto()
    """The node's disk is full."""
    PLACEMENT = auto()
    """Swarm finds no node for the task."""
    NETWORK = auto()
    """The node couldn't put the task on its network."""
    MEMORY = auto()
    """The task's process was killed, mostly for its use of memory."""
    MOUNT = auto()
    """A volume or folder can't be mounted on the node."""
    HEALTH = auto()
    """The task's health check failed."""
    PROCESS = auto()
    """The task's process couldn't be started, or ended by itself."""
    UNKNOWN = auto()


@dataclass(frozen=True, kw_only=True)
class TaskFailure:
    """A task of a service that can't run."""

    service: str
    """Docker's name of the service."""
    node: str
    """Host name of the task's node; empty while Swarm looks for one."""
    cause: Cause
    meaning: str
    """The cause in a few words; the engine's text where that isn't known."""
    remedy: str
    """Remedy on the node, in lines to type; may be empty."""
    raw: str
    """Text of the engine or of Swarm, without ids and what only wraps it."""
    ports: tuple[int, ...] = ()
    """Published ports that are taken, or may be; with `Cause.PORT`."""
    image: str = ""
    """The image that isn't there; with `Cause.IMAGE`."""

    @property
    def headline(self) -> str:
        """The node and the meaning, without the service's name."""
        return f"{f'on node {self.node}, ' if self.node else ''}{self.meaning}"


@dataclass(frozen=True)
class _Known:
    """A text of engines; `{name}` in the sentences is its group `name`."""

    cause: Cause
    pattern: str
    meaning: str
    remedy: str = ""


def _on_node(command: str, before: str = "On that node, type:") -> str:
    return f"  {before}\n      {command}"


_ADDRESS = r"(?:\[[^\]]*\]|[\d.:]*?)"
_KNOWN = (
    _Known(
        Cause.PORT,
        # 20.10: "Bind for 0.0.0.0:80 failed: port is already allocated", where a container has it,
        # and "listen tcp4 0.0.0.0:80: bind: address already in use", where another program has;
        # 28: "failed to bind host port for 0.0.0.0:80:172.18.0.2:80/tcp: address already in use".
        rf"(?:Bind for|listen \w+|failed to bind host port(?: for)?) {_ADDRESS}:(?P<name>\d+)\b.*"
        "(?:already allocated|already in use)",
        "port {name} is taken by another program",
        _on_node("ss -ltnp 'sport = :{name}'", "Which one it is, seen on that node:"),
    ),
    _Known(
        Cause.IMAGE,
        # Why it can't be pulled is in the log of the node's engine alone.
        r"No such image: (?P<name>\S+)",
        "there is no image {name}, and it can't be pulled",
        _on_node("docker pull {name}", "Why, seen on that node (tasks pull without a login):"),
    ),
    _Known(
        Cause.DISK,
        "no space left on device",
        "the disk is full",
        _on_node("docker system df"),
    ),
    _Known(
        Cause.NETWORK,
        "addresses may be exhausted|non-overlapping IPv4 address pool|no available (?:IPv4 )?addr",
        "no address is left for the network",
        _on_node("docker network ls", "Remove networks that nothing uses, or give it more room:"),
    ),
    _Known(
        Cause.NETWORK,
        "sandbox join failed|creating vxlan interface|attaching to network failed|network sandbox",
        "the overlay network can't be joined",
        _on_node("systemctl restart docker", "It mostly passes; if it stays, on that node:"),
    ),
    _Known(
        Cause.HEALTH,
        # With whatever exit code its stop then ends in.
        "unhealthy container",
        "it runs, but its health check fails; its log says why",
    ),
    _Known(
        Cause.MEMORY,
        r"non-zero exit \(137\)|OOM-killed|out of memory",
        "its process was killed: it needs more memory than its limit, or didn't stop in time",
        _on_node("journalctl -k | grep -i 'killed process'", "Whether it was memory, there:"),
    ),
    _Known(
        Cause.MOUNT,
        r"bind (?:mount )?source path does not exist: (?P<name>\S+)",
        "there is no {name} to mount",
    ),
    _Known(
        Cause.MOUNT,
        r'plugin "?(?P<name>[\w./:-]+)"? not found',
        "there is no volume plugin {name}",
        _on_node("docker plugin install {name}"),
    ),
    _Known(
        Cause.MOUNT,
        "failed to mount local volume.*(?:permission denied|operation not permitted)",
        "the volume can't be mounted: this node isn't let in",
    ),
    _Known(
        Cause.MOUNT,
        "failed to mount local volume.*(?:refused|timed out|unreachable|no route|is down)",
        "the volume can't be mounted: its server doesn't answer this node",
    ),
    _Known(
        Cause.MOUNT,
        "failed to mount local volume.*no such",
        "the volume can't be mounted: what its `device` names isn't there",
    ),
    _Known(
        Cause.MOUNT,
        "invalid mount config|mounting volume|failed to mount|VolumeDriver.Mount"
        "|failed to populate volume",
        "a volume can't be mounted",
    ),
    _Known(Cause.MOUNT, "read-only file system", "what has to be written to is read-only"),
    _Known(Cause.PROCESS, "exec format error", "the image is for another kind of processor"),
    _Known(
        Cause.PROCESS,
        r"executable file not found|OCI runtime create failed.*no such file or directory",
        "the image doesn't have the program that it's started with",
    ),
    _Known(
        Cause.PROCESS,
        r"non-zero exit \((?P<name>\d+)\)",
        "its process ended with exit code {name}; its log says why",
    ),
)

_WRAPPINGS = re.compile(
    "starting container failed: |failed to set up container networking: "
    r"|container [0-9a-f]{64}: |endpoint join on GW Network failed: "
    r"|driver failed programming external connectivity on endpoint \S+ \([0-9a-f]*\): "
    "|Error starting userland proxy: |error starting userland proxy: "
)
_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{13,}\b")
_PASSWORD = re.compile(r"\b(pass(?:word)?=)[^,\s]+")

_NO_NODE = re.compile(r"no suitable node(?: \((?P<reasons>.*)\))?")
# Each with a number of nodes behind it or before it.
_REASONS = {
    "host-mode port already in use": "a port is taken by another service",
    "insufficient resources": "too little memory or CPU is free",
    "scheduling constraints not satisfied": "the constraints aren't fulfilled",
    "not available for new tasks": "it is down, drained or paused",
    "missing plugin": "a volume or network plugin is missing",
    "unsupported platform": "the image is for another kind of processor",
    "cannot fulfill requested CSI volume mounts": "a CSI volume can't be mounted",
}
_PORT_REASON = "host-mode port already in use"


def read_failure(
    error: str, *, service: str, node: str = "", published: tuple[int, ...] = ()
) -> TaskFailure:
    """Return what `error`, of a task of `service` on `node`, means.

    `published` are the service's ports on nodes: Swarm itself doesn't say which one is taken.
    """
    if match := _NO_NODE.search(error):
        port = _PORT_REASON in error
        return TaskFailure(
            service=service,
            node=node,
            cause=Cause.PORT if port else Cause.PLACEMENT,
            meaning=f"Swarm finds no node for it{_reasons(match['reasons'])}",
            remedy=_on_node("docker node ls", "The nodes:"),
            raw=error,
            ports=published if port else (),
        )
    for known in _KNOWN:
        match = re.search(known.pattern, error, re.DOTALL)
        if match is None:
            continue
        name = match.groupdict().get("name") or ""
        return TaskFailure(
            service=service,
            node=node,
            cause=known.cause,
            meaning=known.meaning.format(name=name),
            remedy=known.remedy.format(name=name),
            raw=_shortened(error),
            ports=(int(name),) if known.cause is Cause.PORT else (),
            image=name if known.cause is Cause.IMAGE else "",
        )
    raw = _shortened(error)
    return TaskFailure(
        service=service, node=node, cause=Cause.UNKNOWN, meaning=raw, remedy="", raw=raw
    )


def _reasons(text: str | None) -> str:
    """Return Swarm's reasons in words: each is a kind, and how many nodes it is true of."""
    parts = []
    for reason in (text or "").split("; ") if text else []:
        meaning = next((_REASONS[key] for key in _REASONS if key in reason), None)
        count = re.search(r"\b(\d+) node", reason)
        if meaning is None or count is None:
            parts.append(reason)
        else:
            parts.append(f"on {count[1]} {'node' if count[1] == '1' else 'nodes'} {meaning}")
    return f": {'; '.join(parts)}" if parts else ""


def _shortened(error: str) -> str:
    text = _PASSWORD.sub(r"\1…", _ID.sub(r"\1…", _WRAPPINGS.sub("", " ".join(error.split()))))
    return text if len(text) <= LONGEST else f"…{text[1 - LONGEST :]}"
