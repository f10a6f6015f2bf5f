"""`make adopt STACK=… FROM=…`: the plan is shown, agreed to, and carried out.

Each step can be interrupted, and a second run goes on from there. A service of the right name is
changed in place. Anything else is stopped right before the deployment, and started again when that
fails. Nothing is deleted.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi

from components.run import takeover
from ops.adopt import original
from ops.adopt.original import Docker, Original
from ops.adopt.plan import Plan, Setting
from ops.adopt.planning import make_plan, swarm_stack_of
from ops.bootstrap import ROOT
from ops.bootstrap.console import Problem, confirm, run, say
from ops.config import Config
from ops.review.preview import run_preview
from ops.review.step import SERVICE
from ops.settle import settle
from ops.stack import Stack, names
from settings.stack_file import as_text, config_of, is_encrypted


def adopt(name: str, source: str, logins: str | None) -> None:
    """Take over the registry of the swarm stack or compose project `source` as stack `name`.

    `logins` is `keep`, `new`, or None: new ones, unless some would be lost without a word.
    """
    configured = _configured(name)
    Config(stack=name, values=configured, secret_keys=frozenset(configured)).lead_docker()
    docker = Docker()
    found = original.find(docker, source)
    if found.is_ours or found.is_stopped:
        _go_on(docker, name, found, source, configured)
        return
    node = original.node_of(docker, found)
    planned = make_plan(
        found,
        source,
        name,
        node,
        original.reader(docker, found, node),
        logins=logins,
        configured=configured,
    )
    planned.show()
    planned.check()
    confirm(f"Take over {found.name} as planned?")
    Stack(name).ensure(new=True)
    write(name, planned.settings)
    if planned.in_place:
        _change_in_place(name, planned)
    else:
        # What would fail is found while the old one still runs.
        Stack(name).preview()
        with stopped(docker, found, planned.swarm_stack):
            Stack(name).deploy()
    _tell(planned)


def _configured(name: str) -> Mapping[str, Any]:
    """Return what the stack's file has, by full key; makes no stack, and writes nothing.

    Where there is no stack yet, nobody can read what is encrypted in its file.
    """
    if name not in names():
        values = config_of(name, ROOT)
        return {
            key: value if isinstance(value, list | dict) else as_text(value)
            for key, value in values.items()
            if not (isinstance(value, list | dict) and is_encrypted(value))
        }
    entries = json.loads(run(["pulumi", "config", "--json", "--show-secrets", "--stack", name]))
    return {
        key: entry["objectValue"] if "objectValue" in entry else entry.get("value", "")
        for key, entry in entries.items()
    }


def write(name: str, settings: Sequence[Setting]) -> None:
    """Write the settings into the stack's file; a secret is neither shown nor on a command line."""
    # Secrets come last: only with the whole of it does a registry start.
    plain = [word for each in settings if not each.is_secret for word in _assignment(each)]
    if plain:
        run(["pulumi", "config", "set-all", "--stack", name, "--path", *plain])
    for each in settings:
        if each.is_secret:
            words = ["pulumi", "config", "set", "--stack", name, "--path", "--secret", each.path]
            run(words, stdin=each.value)


def _assignment(setting: Setting) -> tuple[str, str]:
    return "--plaintext", f"{setting.path}={setting.value}"


def _change_in_place(name: str, planned: Plan) -> None:
    """Have Pulumi go on with the service itself, in two steps that Swarm can each undo."""
    found = planned.original
    taken = {found.name: found.id}
    # What would fail is found while nothing is changed.
    _operations(name, taken)
    say(f"{found.name}: leaving all networks but {planned.network}")
    try:
        settle(found.id, planned.network, planned.swarm_stack, planned.volume)
    except pulumi.RunError as error:
        raise Problem(str(error)) from error
    if any("replace" in operation for operation in _operations(name, taken)):
        raise Problem(
            f"{found.name} can't be changed in place: Pulumi would delete it first. It runs on as"
            f" it was, but for networks and labels of its containers; for the reason see"
            f" `make preview STACK={name}`"
        )
    Stack(name).deploy(taken=taken)


def _operations(name: str, taken: Mapping[str, str]) -> set[str]:
    """Return the operations of a deployment on services; a Problem where it would fail."""
    preview = run_preview(name, variables=takeover.environment(taken))
    if preview.failed:
        raise Problem("\n".join(preview.errors))
    return {str(step["op"]) for step in preview.steps.values() if step["type"] == SERVICE}


def _go_on(
    docker: Docker, name: str, found: Original, source: str, configured: Mapping[str, Any]
) -> None:
    """End what an earlier run began, and somebody agreed to then."""
    swarm_stack = configured.get("registry:stackName")
    if found.is_ours:
        if found.name != f"{swarm_stack}_registry":
            raise Problem(
                f"{found.name} was deployed by this program already, and stack {name} is another"
                f" one: its registry:stackName is {swarm_stack or 'not set'}"
            )
        say(f"{found.name} is taken over already: deploying stack {name}")
        Stack(name).deploy()
        return
    if swarm_stack != swarm_stack_of(found, source):
        raise Problem(
            f"{found.name} doesn't run, and only what runs is taken over: start it, and adopt again"
        )
    say(f"{found.name} was stopped by an earlier run: going on with stack {name}")
    with stopped(docker, found, str(swarm_stack)):
        Stack(name).deploy()


@contextlib.contextmanager
def stopped(docker: Docker, found: Original, swarm_stack: str) -> Iterator[None]:
    """Have the old registry stopped; start it again when the block fails, or is interrupted.

    Unless the new one runs by then: both would write to one volume.
    """
    try:
        if not found.is_stopped:
            _stop(docker, found)
        yield
    except BaseException:
        if _serves(docker, swarm_stack):
            say(f"the new registry runs, so {found.name} stays stopped")
        else:
            _start(docker, found)
        raise


def _serves(docker: Docker, swarm_stack: str) -> bool:
    """Return whether a task of the new registry runs."""
    running = ("--filter", "desired-state=running", "--format", "{{.CurrentState}}")
    try:
        return "Running" in docker("service", "ps", f"{swarm_stack}_registry", *running)
    except Problem:
        return False


def _stop(docker: Docker, found: Original) -> None:
    say(f"stopping {found.name}")
    if found.is_service:
        docker("service", "scale", "--detach=false", f"{found.id}=0")
    else:
        # Else the next start of the engine would bring it back, on the same volume.
        docker("update", "--restart=no", found.id)
        docker("stop", found.id)


def _start(docker: Docker, found: Original) -> None:
    say(f"starting {found.name} again, since the deployment failed")
    if found.is_service:
        docker("service", "scale", "--detach", f"{found.id}={found.replicas or 1}")
    else:
        docker("update", f"--restart={found.restart or 'no'}", found.id)
        docker("start", found.id)


def _tell(planned: Plan) -> None:
    found, source = planned.original, planned.swarm_stack
    stays = (
        f"`docker stack deploy` and `docker stack rm {source}` would undo it: put the files away"
        if planned.in_place
        else f"{found.name} is stopped, and not deleted: its volume is in use from now on"
    )
    say(f"{found.name} is Pulumi's stack {planned.stack} now. {stays}.")
