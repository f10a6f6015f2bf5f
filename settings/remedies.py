"""Texts of errors for this program's users: facts, and what to type about its settings.

The components know facts alone; here is what of the settings helps. Commands name the stack.
"""

# ruff: noqa: ARG001 - each function has the arguments of the first, needed or not.
from __future__ import annotations

import re
import shlex
from functools import singledispatch

from components import errors
from components.swarm import engine_errors
from components.swarm.location import IMAGES
from settings.way_back import PREFIXES, how_to_move, way_back

_CONFIG = re.compile(r"\bpulumi config (set|rm)(?! --stack\b)")
_OTHER_ENGINE = "      pulumi config set docker:host ssh://USER@MANAGER"


def explain(error: Exception | str, stack: str) -> str:
    """Return an error's text, or a warning, with what to type; commands are for `stack`."""
    return for_stack(error if isinstance(error, str) else _explain(error, stack), stack)


def for_stack(text: str, stack: str) -> str:
    """Return `text` with the stack in each `pulumi config` command that names none.

    Without one Pulumi takes the stack that was selected last.
    """
    return _CONFIG.sub(rf"pulumi config \1 --stack {stack}", text)


@singledispatch
def _explain(error: Exception, stack: str) -> str:
    """Return the text of an error that no setting helps against, or that says itself what does."""
    return str(error)


@_explain.register
def _(error: errors.CombinedError, stack: str) -> str:
    return "\n".join(_explain(each, stack) for each in error.errors)


@_explain.register
def _(error: errors.EngineError, stack: str) -> str:
    return _explain(error.cause, stack)


@_explain.register
def _(error: errors.EngineNotChosenError, stack: str) -> str:
    return str(error)


@_explain.register
def _(error: engine_errors.EngineUnreachableError, stack: str) -> str:
    # How ssh fails is told with what to type.
    return str(error) if error.is_remote else f"{error} or:\n{_OTHER_ENGINE}"


@_explain.register
def _(error: engine_errors.NotAManagerError, stack: str) -> str:
    return f"{error} or:\n{_OTHER_ENGINE}"


@_explain.register
def _(error: engine_errors.EngineTlsError, stack: str) -> str:
    command = "pulumi config set docker:host tcp://NAME:2376"
    return f"{error}: {command}" if error.is_wrong_name else str(error)


@_explain.register
def _(error: errors.NetworkMissingError, stack: str) -> str:
    missing = f"{error.network!r}, and the swarm has no such network."
    if error.index is not None:
        return (
            f"registry:networks has {missing} Make it:\n{error.command}\n"
            f"  or take it out:\n      pulumi config rm --path 'registry:networks[{error.index}]'"
        )
    return (
        f"registry:network is {missing} Deploy the stack that owns it first, or make it:\n"
        f"{error.command}\n"
        "  or let this stack own it:\n      pulumi config set registry:createNetwork true"
    )


@_explain.register
def _(error: errors.NotAnOverlayError, stack: str) -> str:
    key = "network" if error.index is None else f"networks[{error.index}]"
    setting = f"registry:{key}" if error.index is None else f"--path 'registry:{key}'"
    return (
        f"registry:{key} is {error.network!r}, which {error.reason} Name another:\n"
        f"      pulumi config set {setting} NAME"
    )


@_explain.register
def _(error: errors.NetworkNotEncryptedError, stack: str) -> str:
    text = (
        f"registry:encryptNetwork is true, and network {error.network} is there and isn't"
        " encrypted, which Docker can't change."
    )
    if not error.service:
        return (
            f"{text} Name another, which will be made:\n"
            "      pulumi config set registry:network NAME\n"
            "  or go without:\n"
            "      pulumi config rm registry:encryptNetwork"
        )
    key, without, before = {
        "redis": ("registry:cache", "memory", "redis"),
        "socket_proxy": ("registry:proxySocket", "mount", "proxy"),
    }[error.service]
    return (
        f"{text} Have another made by two deployments:\n"
        f"      pulumi config set {key} {without}   # and deploy\n"
        f"      pulumi config set {key} {before}   # and deploy"
    )


@_explain.register
def _(error: errors.NoNodeError, stack: str) -> str:
    if not error.constraints:
        return str(error)
    return (
        f"{error}\n  or choose another constraint:\n"
        "      pulumi config set --path 'registry:constraints[0]' CONSTRAINT"
    )


@_explain.register
def _(error: errors.NodeUnknownError, stack: str) -> str:
    key = f"registry:{PREFIXES[error.role]}Node"
    return (
        f"{key} is {error.wanted!r}, which {error.reason} Type:\n      pulumi config set {key} ID"
    )


@_explain.register
def _(error: errors.NodeNotNamedError, stack: str) -> str:
    key = f"registry:{PREFIXES[error.role]}Node"
    return f"{error}, type:\n      pulumi config set {key} NODE"


@_explain.register
def _(error: errors.NodeGoneError, stack: str) -> str:
    prefix = PREFIXES[error.role]
    return (
        f"{error}:\n      pulumi config set registry:{prefix}Node {error.node}\n"
        f"      pulumi config set registry:{prefix}MovedFrom {error.node_id}"
    )


@_explain.register
def _(error: errors.DataElsewhereError, stack: str) -> str:
    key, holder = f"registry:{PREFIXES[error.role]}Node", error.holder.name
    move = how_to_move(error.role, holder, error.wanted, stack)
    stay = f"To leave them there, type:\n      pulumi config set {key} {holder}"
    return f"{key} is {error.wanted!r}, {error.reason} {stay}\n  {move}"


@_explain.register
def _(error: errors.MoveCutOffError, stack: str) -> str:
    return f"{error} To end it, type:\n      make move NODE={error.new.name} STACK={stack}"


@_explain.register
def _(error: errors.LabelMovedError, stack: str) -> str:
    prefix, holder, home = PREFIXES[error.role], error.holder.name, error.home.name
    return (
        f"{error}\n  If the {error.role.name} are on {holder} by now:\n"
        f"      pulumi config set registry:{prefix}Node {holder}\n"
        f"      pulumi config set registry:{prefix}MovedFrom {home}\n"
        f"  If they shall go back from there to {home}, copy them, then:\n"
        f"      pulumi config set registry:{prefix}MovedFrom {holder}"
    )


def _commands(error: errors.DataLocationError) -> str:
    """Return the commands after which a deployment finds the data where they are."""
    return "".join(f"\n      {line}" for line in way_back(error.old, error.new, error.role))


@_explain.register
def _(error: errors.VolumeReusedError, stack: str) -> str:
    name = f"{error.new['volume']}-2"
    return f"{error}:\n      pulumi config set registry:{PREFIXES[error.role]}Name {name}"


@_explain.register
def _(error: errors.VolumeWouldMoveError, stack: str) -> str:
    move = how_to_move(error.role, error.old["node"], error.new["node"], stack)
    return f"{error} To keep them, type:{_commands(error)}\n  {move}"


@_explain.register
def _(error: errors.DataLeftBehindError, stack: str) -> str:
    name = error.old.get("volume") or error.old["bucket"]
    stay = f"{error} To keep them, type:{_commands(error)}\n"
    if error.role is IMAGES:
        stay += f"  To move them there, while in use, type:\n      make move STACK={stack}\n"
    return (
        f"{stay}"
        "  To go on there (what is in the old place stays as it is), copy them, then type:\n"
        f"      pulumi config set registry:{PREFIXES[error.role]}MovedFrom {name}"
    )


@_explain.register
def _(error: errors.MoveUndoneError, stack: str) -> str:
    return f"{error}; to stay there, type:{_commands(error)}"


@_explain.register
def _(error: errors.AnotherSwarmError, stack: str) -> str:
    return (
        f"Stack {stack} {error.reason} If this is the wrong engine, name the right one:\n"
        f"{_OTHER_ENGINE}\n"
        "  or take DOCKER_HOST and the docker context back. If the swarm was made anew, or the"
        " stack shall move to this one, take the data there first, then type:\n"
        f"      make recover STACK={stack}\n"
        "  or, with a Pulumi of your own:\n"
        f"      pulumi config set registry:swarmMovedFrom {error.before}"
    )


@_explain.register
def _(error: errors.HostTakenError, stack: str) -> str:
    return f"{error}:\n      pulumi config set {error.setting} NAME"


@_explain.register
def _(error: errors.NameTakenError, stack: str) -> str:
    key = "redirectMiddleware" if error.is_redirect else "traefikTag"
    return f"{error}:\n      pulumi config set registry:{key} NAME"


@_explain.register
def _(error: errors.PortTakenError, stack: str) -> str:
    another = error.port + 8000 if error.port < 1024 else error.port + 1
    return f"{error}:\n      pulumi config set registry:{error.setting} {another}"


@_explain.register
def _(error: errors.AlreadyThereError, stack: str) -> str:
    join = (
        "  If it was made by hand, or is another stack's, join it:\n"
        "      pulumi config set registry:createNetwork false\n"
    )
    return (
        f"{error}\n{join if error.is_public_network else ''}"
        "  To take over what was deployed, with its images:\n"
        f"      make recover STACK={stack}\n"
        "  To deploy beside it, choose another registry:stackName and registry:network."
    )


@_explain.register
def _(error: errors.ImageMissingError, stack: str) -> str:
    return f"{error}:\n      pulumi config set registry:{error.setting} NAME:TAG"


@_explain.register
def _(error: errors.ImageNotBuiltError, stack: str) -> str:
    command = f"pulumi config set registry:{error.setting}"
    # `make build` has it on the engine of the shell, which a stack's own needn't be.
    is_here = error.host.startswith("unix:")
    build = "make build" if is_here else f"DOCKER_HOST={shlex.quote(error.host)} make build"
    return f"{error}:\n      {build}\n      {command} ghcr.io/acme/{error.image}"


@_explain.register
def _(error: errors.ImageNotSharedError, stack: str) -> str:
    command = f"pulumi config set registry:{error.setting}"
    return (
        f"{error}:\n      make build PUSH=ghcr.io/acme\n"
        f"      {command} ghcr.io/acme/{error.image}\n"
        f"  Where each node has it already (`docker load`):\n      {command} {error.image}"
    )


@_explain.register
def _(error: errors.PartialUpgradeError, stack: str) -> str:
    return f"{error}:\n      pulumi up --stack {stack}"
