"""The lines of `make outdated`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from components.swarm.pull_login import PullLogin
from ops import checkpoint, inventory
from ops.bootstrap.console import UserError
from ops.bootstrap.environment import deploy_command
from ops.outdated.packages import package_lines
from ops.outdated.remote import Engine, Name, Remote, RemoteError
from ops.outdated.version import newer, parsed
from ops.status.line import Line
from ops.status.screen import row

if TYPE_CHECKING:
    from ops.stack import Stack

BUILT = "registry-tools"
"""Image that `make build` makes; no registry has it by this name."""
SERVICE = "docker:index/service:Service"


def show(stack: Stack) -> None:
    """Print a line for each image of the stack, and for each package of Pulumi's."""
    stack.ensure()
    if stack.last_outputs is None:
        raise UserError(f"stack {stack.name} isn't deployed: {deploy_command(stack.name)}")
    lines = [*image_lines(stack), *package_lines()]
    print("\n".join(map(row, lines)), flush=True)


def image_lines(stack: Stack) -> list[Line]:
    """Return a line for each image that the stack is deployed with, by services."""
    from settings.stack import IMAGE_KEYS

    services = images(checkpoint.read(stack.name), stack.config.swarm_stack)
    engine, lines = _engine(stack)
    ask = partial(_line, stack.name, engine, stack.settings.engine.pull_logins, IMAGE_KEYS)
    with ThreadPoolExecutor() as pool:
        return [*lines, *pool.map(lambda item: ask(*item), sorted(services.items()))]


def images(state: checkpoint.Checkpoint, swarm_stack: str) -> Mapping[str, list[str]]:
    """Return the names of services, without the stack's, by their image in the state."""
    services: defaultdict[str, list[str]] = defaultdict(list)
    for each in state.resources:
        if each["type"] == SERVICE:
            image = each["inputs"]["taskSpec"]["containerSpec"]["image"]
            services[image].append(each["inputs"]["name"].removeprefix(f"{swarm_stack}_"))
    return {image: sorted(names) for image, names in services.items()}


def _engine(stack: Stack) -> tuple[Engine, list[Line]]:
    """Return what the engine says about registries; where it can't be asked, a line with why."""
    try:
        with inventory.connected(stack.name, stack.endpoint) as client:
            return Engine.of(client.info()), []
    except UserError as error:
        reason = " ".join(str(error).split())
        return Engine(), [Line(title="engine", state="unknown", text=reason)]


def _line(
    stack: str,
    engine: Engine,
    logins: Mapping[str, PullLogin],
    keys: Mapping[str, str],
    image: str,
    services: Sequence[str],
) -> Line:
    name = Name.of(image)
    if image.partition(":")[0] == BUILT:
        text = f"made by `make build`, of this program's version ({', '.join(services)})"
        return Line(title=image, state="ok", text=text)
    remote = Remote(name, engine, logins.get(name.registry))
    title = image.partition("@")[0]
    try:
        tags, digest = remote.tags(), remote.digest()
    except RemoteError as error:
        return Line(title=title, state="unknown", text=str(error))
    # A mirror runs the registry's image.
    owners = ["registry" if each.startswith("mirror-") else each for each in services]
    key = next((keys[each] for each in owners if each in keys), "")
    return image_line(stack, image, ", ".join(services), tags, digest, key)


def image_line(
    stack: str,
    image: str,
    services: str,
    tags: Sequence[str],
    digest: str,
    key: str,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Line:
    """Return the line about an image, for its repository's `tags` and its tag's `digest`."""
    name, title = Name.of(image), image.partition("@")[0]
    later = newer(name.tag, tags)
    parts, commands, base = list[str](), list[str](), title.removesuffix(f":{name.tag}")
    setting = f"pulumi config set --stack {stack} registry:"
    if later.minor:
        parts.append(f"{later.minor} is newer")
        commands.append(f"{setting}{key} {base}:{later.minor}")
    if later.major:
        parts.append(f"{later.major} is another major version: read its notes")
    if name.digest and digest and name.digest != digest:
        parts.append("the tag leads to another image by now")
        commands.append(f"{setting}imageRefresh {now():%Y-%m-%d}")
    if not parts:
        kind = "the newest" if parsed(name.tag) else "the tag's present image"
        return Line(title=title, state="ok", text=f"{kind} ({services})")
    facts = {"newer": later.minor, "newer_major": later.major, "digest": digest}
    text = f"{'; '.join(parts)} ({services})"
    return Line(title=title, state="newer", text=text, commands=tuple(commands), facts=facts)
